//! A disk that fails to sync: no yes after it whose data is not there when the process has come back.

use crate::config::Setup;
use crate::judge;
use crate::options::Options;
use crate::scenario::disk::is_installed;
use crate::stage::{Stage, willing};
use crate::verdict::Verdict;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Attaches a tracer that makes one sync of the process fail with EIO.
fn inject(pid: u32, nth: u32, log: &Path) -> Result<Child> {
    let inject = format!("inject=fdatasync,fsync:error=EIO:when={nth}");
    let tracer = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", &inject, "-o"])
        .arg(log)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(tracer)
}

/// Several failures, each at another sync, with a death and a clean start after each.
pub async fn run(options: &Options) -> Result<Verdict> {
    if !is_installed("strace") {
        return Ok(Verdict::skipped("strace is not installed (package strace)"));
    }
    let times = options.times.unwrap_or(options.pick(20, 2));
    let mut stage = Stage::open(options, "fsync", &Setup::default(), willing(0..20)).await?;
    stage.store_fails = true;
    let load = stage.load(1, options.rate.unwrap_or(30.0));
    let sender = tokio::spawn(load.clone().run(None));
    let (mut injected, mut stopped, mut refused) = (0, 0, 0);
    for turn in 0..times {
        let log = stage.dir.join(format!("strace-{turn}"));
        let nth = stage.random.u32(1..40);
        let before = load.ledger().values().map(|sent| sent.busy).sum::<u32>();
        let mut tracer = inject(stage.gateway.pid()?, nth, &log)?;
        let came =
            Stage::until(Duration::from_secs(15), async || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("(INJECTED)")))
                .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        injected += usize::from(came);
        refused += u32::from(load.ledger().values().map(|sent| sent.busy).sum::<u32>() > before);
        let ended = stage.gateway.ended()?;
        stopped += usize::from(ended.is_some());
        if ended.is_none() {
            stage.gateway.kill()?;
        }
        tracer.wait()?;
        stage.gateway.start().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if sender.is_finished() {
        bail!("the load ended by itself");
    }
    load.stop();
    sender.await?;
    let mut verdict = judge::judge(&stage, &load.ledger(), Duration::from_secs(120)).await?;
    verdict.count("injected", injected);
    verdict.count("process_stopped_by_itself", stopped);
    verdict.count("failures_that_refused_requests", refused);
    verdict.void_unless(injected * 2 >= times, "fewer than half of the failures were seen to act");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
