//! Power cuts: what a disk holds when the page cache is gone. `kill -9` does not show this; a lazy flush survives it.
//!
//! The store is on ext4 over a loop image, the kernel writes nothing back by itself. The gateway is stopped, the image is
//! copied: the copy is what the disk would hold. It is mounted (the journal replays), and the gateway starts on it.

use crate::config::Setup;
use crate::judge;
use crate::load::Sent;
use crate::options::Options;
use crate::scenario::disk::{self, Mounted, NoWriteback};
use crate::stage::{Stage, folder, willing};
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Size of the disk in MiB.
const DISK: u64 = 512;

/// Thirty cuts; or, without durability, a few that have to lose something.
pub async fn run(options: &Options) -> Result<Verdict> {
    if !disk::is_root() || !Path::new("/dev/loop-control").exists() || !disk::is_installed("mkfs.ext4") {
        return Ok(Verdict::skipped("power cuts need root, loop devices and mkfs.ext4 (package e2fsprogs)"));
    }
    let place = folder(options, "power-disk")?;
    let verdict = cuts(options, &place).await;
    std::fs::remove_dir_all(&place).ok();
    verdict
}

async fn cuts(options: &Options, place: &Path) -> Result<Verdict> {
    let times = options.times.unwrap_or(options.pick(30, 3));
    let (mut image, mount) = (place.join("disk-0"), place.join("mount"));
    disk::new_image(&image, DISK)?;
    let mut mounted = Some(Mounted::image(&image, &mount)?);
    let _lazy = NoWriteback::begin()?;
    let setup = Setup { store: Some(format!("sqlite:{}", mount.join("preclear.db").display())), ..Setup::default() };
    let mut stage = Stage::prepare(options, "power", &setup, willing(0..30)).await?;
    if options.durability_off {
        stage.gateway.env = vec![("PRECLEAR_DANGEROUS_NO_FSYNC".into(), "1".into())];
    }
    stage.gateway.start().await?;
    stage.subscribe(&stage.sink.clone()).await?;
    let mut ledger: BTreeMap<u32, Sent> = BTreeMap::new();
    let (mut absent, mut no_start, mut at_cuts) = (0, 0, 0);
    for turn in 0..times {
        let load = stage.load(u32::try_from(turn)? * 10_000 + 1, options.rate.unwrap_or(100.0));
        let sender = tokio::spawn(load.clone().run(None));
        tokio::time::sleep(Duration::from_millis(stage.random.u64(500..3000))).await;
        stage.gateway.freeze()?;
        // Answers that had left before the stop are read; what comes later was not acknowledged before the cut.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let acknowledged: Vec<(u32, Sent)> = load.ledger().into_iter().filter(|(_, sent)| sent.acknowledged.is_some()).collect();
        let next = place.join(format!("disk-{}", turn + 1));
        std::fs::copy(&image, &next)?;
        stage.gateway.kill()?;
        mounted.take();
        std::fs::remove_file(&image)?;
        image = next;
        mounted = Some(Mounted::image(&image, &mount)?);
        at_cuts += acknowledged.len();
        if let Err(error) = stage.gateway.start().await {
            no_start += 1;
            eprintln!("no start after cut {turn}: {error:#}");
            load.give_up();
            sender.await?;
            break;
        }
        absent += absent_now(&stage, &acknowledged).await;
        load.stop();
        sender.await?;
        ledger.extend(load.ledger());
    }
    let mut verdict = Verdict::default();
    for (name, count) in [("cuts", times), ("acknowledged_at_cuts", at_cuts), ("absent", absent), ("failed_starts", no_start)] {
        verdict.count(name, count);
    }
    verdict.void_unless(at_cuts > 0, "nothing was acknowledged before a cut");
    if options.durability_off {
        verdict.hold(absent + no_start > 0, || "the control: without durability nothing was lost, so the rig would not see it".into());
        stage.gateway.kill().ok();
    } else {
        verdict.hold(absent == 0, || format!("B2: {absent} acknowledged declarations are absent after a cut"));
        verdict.hold(no_start == 0, || format!("B2: {no_start} starts failed"));
        verdict.absorb("judge", judge::judge(&stage, &ledger, Duration::from_secs(120)).await?);
    }
    stage.close(verdict.breaches() == 0).await?;
    drop(mounted);
    Ok(verdict)
}

async fn absent_now(stage: &Stage, acknowledged: &[(u32, Sent)]) -> usize {
    let mut absent = 0;
    for (_, sent) in acknowledged {
        let there = stage.post.get(&format!("/v1/declarations/{}", sent.declaration_id)).await;
        absent += usize::from(there.is_ok_and(|answer| answer.status == 404));
    }
    absent
}
