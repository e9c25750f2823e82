//! `preclear check`: every fault of a configuration at once, before it is served.
//!
//! Why it exists: an operator should hear of a certificate that ends, a route that names nobody and a mapping that does not
//! compile in one go and on their own machine, not one by one at three in the morning. This is a thin shell: the judging is
//! the configuration's, the mapping's and [`crate::app::check`]'s; here it is put in order and shown.
//!
//! Invariants: nothing is changed, nothing is sent; one area's faults hide no other's, as far as the configuration can be read
//! at all; values of secrets are never shown. The list goes to stdout. Exit codes: 0 no fault, 1 faults, 2 wrong usage.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::app::{self, Finding};
use crate::config::{self, Config};
use crate::domain::time::{Clock as _, SystemClock, Timestamp};
use crate::mapping::schema::Schemas;
use crate::mapping::{Registry, cases};

const EXAMPLES: &str = "Examples:\n  preclear check\n  preclear check --config examples/preclear.toml\n  \
    PRECLEAR__STORE__URL=sqlite:/var/lib/preclear/preclear.db preclear check --config /etc/preclear.toml\n\n\
    Looks at: the configuration with its environment, routes, mappings with their cases and settings, certificates (key, dates,\n\
    chain), the store's folder. Exit codes: 0 no fault, 1 faults, 2 wrong usage.";

/// The areas in the order in which they are shown; `effect` has notes only.
const AREAS: [&str; 5] = ["configuration", "routes", "mappings", "certificates", "store"];

/// List every fault of configuration, store, mappings and certificates
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Configuration; PRECLEAR__SECTION__KEY overrides its keys
    #[arg(long, value_name = "FILE", default_value = "preclear.toml")]
    config: PathBuf,
}

/// Runs `preclear check`.
pub fn run(args: &CheckArgs) -> ExitCode {
    let (findings, readable) = findings(&args.config, SystemClock.now());
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = shown(&args.config, &findings, readable, colours);
    // A closed pipe (`| head`) is no fault of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if findings.iter().all(|finding| finding.note) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All findings, and whether the configuration could be read, without which the other areas cannot be looked at.
fn findings(path: &Path, now: Timestamp) -> (Vec<Finding>, bool) {
    let finding = |fault: &config::ConfigFault| Finding {
        area: "configuration",
        place: fault.key.clone(),
        detail: fault.detail.clone(),
        note: false,
    };
    match config::read(path) {
        Ok((config, faults)) => {
            let mut others = app::check(&config, now);
            run_cases(&config, &mut others);
            // A part that could not be read stands at its default; what is said of that is not the operator's.
            let untold = others.into_iter().filter(|other| !config::is_told(&faults, &other.place));
            (faults.iter().map(finding).chain(untold).collect(), true)
        }
        Err(faults) => (faults.iter().map(finding).collect(), false),
    }
}

/// Runs the cases of every mapping that a broker uses; one that cannot be loaded has told its faults already.
fn run_cases(config: &Config, findings: &mut Vec<Finding>) {
    let (registry, _) = Registry::load(&app::source_of(config));
    let used: BTreeSet<&str> = config.brokers.values().map(|broker| broker.mapping.as_str()).collect();
    for (name, broker) in &config.brokers {
        let converts = registry.get(broker.mapping.as_str()).is_some_and(|mapping| mapping.converts());
        if converts && config.mappings.rates.is_none() {
            let detail = format!(
                "the mapping {} of the broker {name} converts amounts, and there is no table of rates: what is declared in another currency is refused",
                broker.mapping.as_str()
            );
            findings.push(Finding { area: "mappings", place: "mappings.rates".to_owned(), detail, note: true });
        }
    }
    for name in used {
        let (Some(mapping), Some(files)) = (registry.get(name), registry.files(name)) else { continue };
        for case in cases::run(&mapping, &files, &Schemas::default()).0 {
            let place = format!("{name}/{}", case.name);
            findings.extend(case.problems.into_iter().map(|detail| Finding {
                area: "mappings",
                place: place.clone(),
                detail,
                note: false,
            }));
        }
    }
}

/// The list as text: a line per area, its findings below it.
fn shown(path: &Path, findings: &[Finding], readable: bool, colours: bool) -> String {
    let paint = |text: &str, code: &str| if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let mut text = format!("{}\n", path.display());
    let further = findings.iter().map(|finding| finding.area).filter(|area| !AREAS.contains(area));
    let mut areas: Vec<&str> = AREAS.to_vec();
    for area in further {
        if !areas.contains(&area) {
            areas.push(area);
        }
    }
    for area in areas {
        let of_area: Vec<_> = findings.iter().filter(|finding| finding.area == area).collect();
        let faults = of_area.iter().filter(|finding| !finding.note).count();
        let mark = match faults {
            _ if !readable && area != "configuration" => format!("{} {area}: not looked at", paint("–", "2")),
            0 if AREAS.contains(&area) => format!("{} {area}", paint("✓", "32")),
            0 => format!("{} {area}", paint("i", "33")),
            _ => format!("{} {area}", paint("✗", "31")),
        };
        text.push_str(&format!("  {mark}\n"));
        for finding in of_area {
            let note = if finding.note { paint("note: ", "33") } else { String::new() };
            let place = if finding.place.is_empty() { String::new() } else { format!("{}: ", paint(&finding.place, "1")) };
            // Faults of several lines (a mapping's excerpt) stay in their column.
            let detail = finding.detail.replace('\n', "\n        ");
            text.push_str(&format!("      {note}{place}{detail}\n"));
        }
    }
    let faults = findings.iter().filter(|finding| !finding.note).count();
    let words = match faults {
        0 => "no fault".to_owned(),
        1 => "1 fault".to_owned(),
        _ => format!("{faults} faults"),
    };
    text.push_str(&format!("{words}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(area: &'static str, place: &str, note: bool) -> Finding {
        Finding { area, place: place.to_owned(), detail: "what\nto do".to_owned(), note }
    }

    #[test]
    fn every_area_has_its_line_and_every_finding_its_place() {
        let findings =
            [finding("certificates", "brokers.uk-broker.key", false), finding("effect", "retention", true), finding("mappings", "", false)];
        let text = shown(Path::new("a.toml"), &findings, true, false);
        let expected = "a.toml\n  ✓ configuration\n  ✓ routes\n  ✗ mappings\n      what\n        to do\n  ✗ certificates\n      \
                        brokers.uk-broker.key: what\n        to do\n  ✓ store\n  i effect\n      note: retention: what\n        to do\n2 faults\n";
        assert_eq!(text, expected);
        let text = shown(Path::new("a.toml"), &[finding("configuration", "intake.listen", false)], false, false);
        assert!(
            text.contains("  ✗ configuration\n      intake.listen: what")
                && text.contains("– store: not looked at")
                && text.ends_with("1 fault\n")
        );
        assert!(shown(Path::new("a.toml"), &[], true, true).contains("\x1b[32m✓\x1b[0m store"));
    }
}
