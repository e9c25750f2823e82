//! A full disk: no false yes, a decent no, and health again without a restart when there is room.

use crate::config::Setup;
use crate::judge;
use crate::options::Options;
use crate::scenario::disk::{Mounted, is_root};
use crate::stage::{Stage, folder, willing};
use crate::verdict::Verdict;
use anyhow::Result;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Size of the disk in MiB.
const DISK: u32 = 256;

/// Once with a reserve that the gateway keeps, once without: then the database itself meets the end of the disk.
pub async fn run(options: &Options) -> Result<Verdict> {
    if !is_root() {
        return Ok(Verdict::skipped("mounting a tmpfs needs root"));
    }
    let mut verdict = Verdict::default();
    for (name, reserve) in [("with_a_reserve", 64), ("without", 1)] {
        verdict.absorb(name, full(options, name, reserve).await?);
    }
    Ok(verdict)
}

/// Takes all room; tells how many bytes that were.
fn fill(path: &Path) -> u64 {
    let Ok(mut file) = std::fs::File::create(path) else { return 0 };
    let mut written = 0;
    for size in [1 << 20, 4096, 1] {
        let block = vec![0x55; size];
        while file.write_all(&block).is_ok() {
            written += size as u64;
        }
    }
    written
}

async fn full(options: &Options, name: &str, reserve: u32) -> Result<Verdict> {
    let name = format!("disk-full-{name}");
    let mount = folder(options, &format!("{name}-disk"))?;
    let disk = Mounted::small(&mount, DISK)?;
    let mut setup = Setup { store: Some(format!("sqlite:{}", mount.join("preclear.db").display())), ..Setup::default() };
    setup.lines = vec![("store", format!("min_free_mb = {reserve}"))];
    let mut stage = Stage::open(options, &name, &setup, willing(0..20)).await?;
    stage.store_fails = true;
    let load = stage.load(1, options.rate.unwrap_or(30.0));
    let sender = tokio::spawn(load.clone().run(None));
    tokio::time::sleep(Duration::from_secs(options.pick(10, 3))).await;
    let ballast = mount.join("ballast");
    let taken = fill(&ballast);
    let (full_at, mut refused) = (Instant::now(), 0);
    while full_at.elapsed() < Duration::from_secs(options.pick(30, 6)) {
        // What the database frees by itself is taken too.
        tokio::time::sleep(Duration::from_millis(500)).await;
        refused = load.ledger().values().filter(|sent| sent.busy > 0).count();
    }
    std::fs::remove_file(&ballast)?;
    let freed = Instant::now();
    let healthy = Stage::until(Duration::from_secs(60), async || {
        load.ledger().values().any(|sent| sent.acknowledged.is_some_and(|at| at > freed + Duration::from_millis(100)))
    })
    .await;
    let recovered = freed.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    load.stop();
    sender.await?;
    stage.settle(Duration::from_secs(60)).await;
    // What was acknowledged has to be on the disk, not in the process.
    stage.kill_and_start().await?;
    let mut verdict = judge::judge(&stage, &load.ledger(), Duration::from_secs(120)).await?;
    verdict.count("filled_mib", taken >> 20);
    verdict.count("refused_while_full", refused);
    verdict.count("healthy_after_s", judge::round(recovered.as_secs_f64()));
    verdict.hold(healthy && recovered <= Duration::from_secs(30), || "B11: not healthy 30 s after there was room again".into());
    verdict.void_unless(refused > 0, "nothing was refused while the disk was full");
    stage.close(verdict.breaches() == 0).await?;
    drop(disk);
    std::fs::remove_dir_all(&mount).ok();
    Ok(verdict)
}
