//! The command line, read by hand: a judge needs no parser crate.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The gateway's binary.
    pub bin: PathBuf,
    /// Source of all choices.
    pub seed: u64,
    /// Where the folders of the runs go; kept.
    pub out: Option<PathBuf>,
    /// The scenario.
    pub scenario: String,
    /// Less of everything.
    pub short: bool,
    /// A missing tool is a failure, not a skip.
    pub require: bool,
    /// `power`: without durability, which has to fail.
    pub durability_off: bool,
    /// Declarations per second, where it is not the scenario's own.
    pub rate: Option<f64>,
    /// How often the fault acts (kills, cuts, ends).
    pub times: Option<usize>,
    /// How many items or callbacks.
    pub items: Option<usize>,
    /// How long, in seconds.
    pub seconds: Option<u64>,
    /// The gateway's sources, for `planted`.
    pub source: PathBuf,
    /// `points`, `planted`: only the one of this name.
    pub only: Option<String>,
}

/// How it is used.
pub const USAGE: &str =
    "preclear-rig --bin PATH [--seed N] [--out DIR] SCENARIO [--short] [--require] [--times N] [--items N] [--seconds N] [--rate N] \
[--only NAME] [--source DIR] [--durability-off]
scenarios: kill points power away flaps callbacks rate idempotency disk-full fsync sigterm clock amend webhooks start planted short all";

impl Options {
    /// Reads the arguments.
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let mut options = Options {
            bin: PathBuf::new(),
            seed: fastrand::u64(..1_000_000_000),
            out: None,
            scenario: String::new(),
            short: false,
            require: false,
            durability_off: false,
            rate: None,
            times: None,
            items: None,
            seconds: None,
            source: PathBuf::from("."),
            only: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--bin" => options.bin = std::path::absolute(value()?)?,
                "--seed" => options.seed = value()?.parse()?,
                "--out" => options.out = Some(std::path::absolute(value()?)?),
                "--short" => options.short = true,
                "--require" => options.require = true,
                "--durability-off" => options.durability_off = true,
                "--rate" => options.rate = Some(value()?.parse()?),
                "--times" => options.times = Some(value()?.parse()?),
                "--items" => options.items = Some(value()?.parse()?),
                "--seconds" => options.seconds = Some(value()?.parse()?),
                "--source" => options.source = std::path::absolute(value()?)?,
                "--only" => options.only = Some(value()?),
                name if !name.starts_with('-') && options.scenario.is_empty() => options.scenario = name.to_owned(),
                _ => bail!("{argument} is not known"),
            }
        }
        if options.scenario.is_empty() || (!options.bin.is_file() && options.scenario != "planted") {
            bail!("a scenario and --bin with the gateway's binary are needed");
        }
        Ok(options)
    }

    /// The long form's number, or the short one's.
    pub fn pick<T>(&self, long: T, short: T) -> T {
        if self.short { short } else { long }
    }
}
