//! Loading mappings into a catalog; a broken one is an alarm and harms only itself.

use std::io::Read as _;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::mapping::{Broken, MAX_RATES_BYTES, MappingFault, Rates, Registry, Source};

/// Where a configuration's mappings come from.
pub fn source_of(config: &Config) -> Source {
    Source::choose(config.mappings.dir.as_ref().map(|dir| dir.as_path().to_owned()))
}

/// Loads and joins; what is broken is logged.
pub(super) fn load(config: &Config) -> Catalog {
    let (catalog, broken) = read(config);
    for fault in broken.iter().flat_map(|broken| &broken.faults) {
        tracing::error!(fault = %fault, "a mapping cannot be used");
    }
    for fault in catalog.faults() {
        tracing::error!(key = %fault.key, fault = %fault.detail, "a broker has no channel");
    }
    catalog
}

/// Loads and joins; what is broken, the rate table too, is given back.
pub(super) fn read(config: &Config) -> (Catalog, Vec<Broken>) {
    let (registry, mut broken) = Registry::load(&source_of(config));
    let rates = match rates(config) {
        Ok(rates) => Some(Arc::new(rates)),
        Err(faults) => {
            broken.push(Broken { name: String::new(), faults });
            None
        }
    };
    (Catalog::new(config, registry, rates.as_ref()), broken)
}

/// The rate table; without one there are no rates.
fn rates(config: &Config) -> Result<Rates, Vec<MappingFault>> {
    let Some(file) = &config.mappings.rates else { return Ok(Rates::default()) };
    let name = file.as_path().display().to_string();
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_RATES_BYTES).unwrap_or(u64::MAX);
    // One byte more than allowed, so that a table that is too large is told as such.
    let read = std::fs::File::open(file.as_path()).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    match read {
        Ok(_) => Rates::read(&name, &bytes),
        Err(error) => {
            let message = format!("the rate table of mappings.rates cannot be read: {}", error.kind());
            Err(vec![MappingFault { file: name, line: 0, column: 0, message, suggestion: None }])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const MANIFEST: &str = "title = \"t\"\nversion = \"1.0.0\"\nsource = \"s\"\n[transport]\ncontent_type = \"application/xml\"\n";
    const RATES: &str = "from,to,valid_from,valid_until,rate,source\nEUR,GBP,2026-11-01,,0.88,HMRC\n";

    fn configuration(folder: &Path) -> Config {
        let broker = |name: &str| {
            format!(
                "[brokers.{name}]\nmapping = \"{name}\"\nurl = \"https://b.example/\"\nca = \"x\"\ncertificate = \"x\"\nkey = \"x\"\nrate = {{ per_second = 1 }}\n"
            )
        };
        let folder = folder.display();
        let text = format!(
            "[mappings]\ndir = \"{folder}/m\"\nrates = \"{folder}/rates.csv\"\n[callbacks]\ncertificate = \"x\"\nkey = \"x\"\nclient_ca = \"x\"\n\
             [posts.A]\nname = \"A\"\nclient_identities = [\"a\"]\n{}{}[brokers.plain.codes.modes]\nE = \"1\"\n",
            broker("converts"),
            broker("plain")
        );
        config::load_text(&text, std::iter::empty()).expect("a configuration")
    }

    /// A broken rate table is told with its line; only who converts amounts stands still.
    #[test]
    fn a_broken_rate_table_harms_only_those_who_need_it() {
        let folder = std::env::temp_dir().join(format!("preclear-rates-{}", std::process::id()));
        for (name, value) in [("converts", "contents | total('GBP', 'value')"), ("plain", "item_id")] {
            let mapping = folder.join("m").join(name);
            std::fs::create_dir_all(&mapping).expect("folder");
            std::fs::write(mapping.join("mapping.toml"), MANIFEST).expect("written");
            std::fs::write(mapping.join("declaration.xml"), format!("<R>{{{value}}}</R>")).expect("written");
        }
        std::fs::create_dir_all(folder.join("m/plain/codes")).expect("folder");
        std::fs::write(folder.join("m/plain/codes/modes.csv"), "key,value\nE,2\n").expect("written");
        let config = configuration(&folder);
        let read_with = |table: Option<&str>| {
            let file = folder.join("rates.csv");
            let _ = std::fs::remove_file(&file);
            table.iter().for_each(|table| std::fs::write(&file, table).expect("written"));
            let (catalog, broken) = read(&config);
            let told: Vec<String> = broken.iter().flat_map(|broken| &broken.faults).map(ToString::to_string).collect();
            let keys: Vec<String> = catalog.faults().map(|fault| fault.key.clone()).collect();
            (catalog.channel("converts").is_some(), catalog.channel("plain").is_some(), keys, told.join("\n"))
        };
        let good = read_with(Some(RATES));
        let bad = read_with(Some(&RATES.replace("0.88", "0,88")));
        let none = read_with(None);
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(good, (true, true, Vec::new(), String::new()));
        for (seen, place) in [
            (bad, "rates.csv:2:1: each row needs as many columns"),
            (none, "rates.csv:0:0: the rate table of mappings.rates cannot be read"),
        ] {
            assert_eq!((seen.0, seen.1, seen.2), (false, true, vec!["mappings.rates".to_owned()]));
            assert!(seen.3.contains(place), "{}", seen.3);
        }
    }
}
