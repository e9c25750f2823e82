//! The independent judge: starts the real gateway, does to it what reality does, and holds three ledgers against its promises.
//!
//! It knows the published interfaces only and shares no code with the gateway. Each run prints one line of JSON with its
//! counts and its seed, and fails on any breach; a run in which the fault was never seen to act is void and fails too.
#![allow(clippy::disallowed_methods, reason = "a program of its own against real time")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod broker;
mod changes;
mod client;
mod clock;
mod config;
mod goods;
mod judge;
mod load;
mod notice;
mod options;
mod pki;
mod process;
mod scenario;
mod sink;
mod stage;
mod verdict;
mod wire;

use std::process::ExitCode;
use std::time::Instant;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = match options::Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error:#}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let run = tokio::select! {
        run = scenario::run(&options.scenario, &options) => run,
        // Dropping a scenario ends its processes and takes down what it mounted.
        () = asked_to_end() => Err(anyhow::anyhow!("ended from outside")),
    };
    match run {
        Ok(verdict) => {
            println!("{}", verdict.line(&options.scenario, options.seed, began.elapsed().as_secs_f64()));
            let good = verdict.word() == "passed" || (verdict.word() == "SKIPPED" && !options.require);
            ExitCode::from(u8::from(!good))
        }
        Err(error) => {
            eprintln!("{} with seed {}: {error:#}", options.scenario, options.seed);
            ExitCode::from(1)
        }
    }
}

async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        _ => std::future::pending().await,
    }
}
