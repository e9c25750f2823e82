//! Durable intake against a bare baseline, both in this run and on this machine.
//!
//! Product: the gateway as `preclear serve` builds it (its broker paused), 64 keep-alive
//! connections posting distinct declarations; a 202 means declaration, message, outbox row and
//! answer are durable. Baseline: a bare actix-web handler that appends the same bytes to a file and
//! commits groups of them with one fdatasync, answering with as many bytes. The two take turns;
//! the printed ratio is the median of the rounds.
//!
//! ```sh
//! cargo bench --bench intake            # PRECLEAR_BENCH_SECONDS=5 PRECLEAR_BENCH_ROUNDS=5
//! ```
#![allow(clippy::disallowed_methods, reason = "a load against real time")]

mod baseline;
mod gateway;
mod load;

use std::time::Duration;

use load::{Load, Result};

/// The product's own, for both sides.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 64;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let seconds = Duration::from_secs(setting("PRECLEAR_BENCH_SECONDS", 4));
    let rounds = setting("PRECLEAR_BENCH_ROUNDS", 5);
    let dir = tempfile_dir()?;
    let gateway = gateway::start(&dir).await?;
    let sizes = gateway::sizes(&gateway).await?;
    let bare = baseline::start(&dir.join("bare.log"), &sizes)?;
    println!("durable intake, {CONNECTIONS} connections, {} s a round, {} cores", seconds.as_secs(), std::thread::available_parallelism()?);
    println!("per declaration: body {} B, message {} B, answer {} B", sizes.body, sizes.message, sizes.answer);

    let mut first = 0u32;
    let mut warm_up = Load { address: gateway.address, key: gateway::KEY, first };
    warm_up.run(CONNECTIONS, Duration::from_secs(1)).await?;
    first += 2_000_000;
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let baseline = Load { address: bare, key: gateway::KEY, first: 0 }.run(CONNECTIONS, seconds).await?;
        let product = Load { address: gateway.address, key: gateway::KEY, first }.run(CONNECTIONS, seconds).await?;
        first += 2_000_000;
        let ratio = product.per_second() / baseline.per_second();
        show(round, &baseline, &product, ratio);
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "ratio product / baseline: {:.2} (min {:.2}, max {:.2}; goal 0.5)",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    );
    gateway.stop().await;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn show(round: u64, baseline: &Result, product: &Result, ratio: f64) {
    println!(
        "round {round}: baseline {:>7.0}/s p50 {:>5.1} ms p99 {:>5.1} ms | product {:>7.0}/s p50 {:>5.1} ms p99 {:>5.1} ms | ratio {ratio:.2}",
        baseline.per_second(),
        baseline.percentile_ms(0.5),
        baseline.percentile_ms(0.99),
        product.per_second(),
        product.percentile_ms(0.5),
        product.percentile_ms(0.99),
    );
}

fn tempfile_dir() -> anyhow::Result<std::path::PathBuf> {
    let dir = std::env::temp_dir().join(format!("preclear-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
