//! From files and store to a catalog.
//!
//! A start takes what it can get: good files are kept in the store before they serve; a mapping whose files
//! cannot be used is served by its newest stored version, with an alarm, and harms only its own brokers when
//! there is none. A reload is all or nothing: one fault, and catalog and store stay as they are.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use crate::catalog::{Catalog, MappingState, Standings};
use crate::config::Config;
use crate::http::ops::source::OpsFault;
use crate::mapping::faults::nearest;
use crate::mapping::{Broken, Files, MAX_RATES_BYTES, MappingFault, Rates, Registry, Source};
use crate::store::{MappingVersion, Store, StoreError};

/// Where a configuration's mappings come from.
pub fn source_of(config: &Config) -> Source {
    Source::choose(config.mappings.dir.as_ref().map(|dir| dir.as_path().to_owned()))
}

/// What a start serves. Everything that is wrong is logged.
///
/// # Errors
/// When the store cannot be read, or cannot keep what is new.
pub(super) async fn start(config: &Arc<Config>, store: &Store) -> Result<Catalog, StoreError> {
    let found = read_files(config).await?;
    for fault in found.rate_faults() {
        tracing::error!(fault = %fault, "the rate table cannot be used");
    }
    let good = versions(&found.registry);
    let catalog = join_stored(config, store, found).await?;
    keep(store, good).await?;
    for listed in catalog.listed() {
        for fault in listed.faults {
            tracing::error!(mapping = listed.name, fault = %fault, "a mapping cannot be used");
        }
        match (listed.state, listed.mapping) {
            (MappingState::Stored, Some(mapping)) => {
                tracing::error!(
                    mapping = listed.name,
                    version = mapping.version,
                    "a stored version serves in the place of a mapping's files"
                );
            }
            (MappingState::Broken, _) => tracing::error!(mapping = listed.name, "no usable version of a mapping is stored"),
            _ => {}
        }
    }
    for fault in catalog.faults() {
        tracing::error!(key = %fault.key, fault = %fault.detail, "a broker has no channel: its declarations are answered 503");
    }
    Ok(catalog)
}

/// What is to serve from now on.
///
/// # Errors
/// Every fault of files and settings, or the store's: nothing has changed, neither here nor in the store.
pub(super) async fn reload(config: &Arc<Config>, store: &Store) -> Result<Catalog, OpsFault> {
    let found = read_files(config).await?;
    let of_files = found.broken.iter().flat_map(|broken| &broken.faults).chain(found.rate_faults());
    let of_files: Vec<_> = of_files.map(|fault| (fault.place(), fault.told())).collect();
    let (settings, mappings, rates) = (Arc::clone(config), found.registry.clone(), found.rates.as_ref().ok().cloned());
    let channels = blocking(move || Catalog::new(&settings, mappings, rates.as_ref())).await?;
    let faults: Vec<_> = of_files.into_iter().chain(channels.faults().map(|fault| (fault.key.clone(), fault.detail.clone()))).collect();
    if !faults.is_empty() {
        return Err(OpsFault::Refused(faults));
    }
    let good = versions(&found.registry);
    let catalog = join_stored(config, store, found).await?;
    keep(store, good).await?;
    Ok(catalog)
}

/// What a start would serve, by the files and by what the store's file holds at this moment; nothing is changed.
pub(super) struct Foreseen {
    /// The catalog.
    pub catalog: Catalog,
    /// Why the store could not be asked, which is only done when files are missing or have faults.
    pub unasked: Option<String>,
    /// What is wrong with the rate table.
    pub rate_faults: Vec<MappingFault>,
}

pub(super) fn foresee(config: &Config) -> Foreseen {
    let found = find(config);
    let rate_faults = found.rate_faults().to_vec();
    if missing(config, &found.registry, &found.broken).is_empty() {
        return Foreseen { catalog: join(config, found, Vec::new()), unasked: None, rate_faults };
    }
    let file = std::path::Path::new(config.store.url.as_str().trim_start_matches("sqlite:"));
    let (kept, unasked) = match Store::peek_newest_mappings(file, &names(&found.registry)) {
        Ok(kept) => (kept, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Foreseen { catalog: join(config, found, kept), unasked, rate_faults }
}

/// What the files hold at one moment.
struct Found {
    registry: Registry,
    broken: Vec<Broken>,
    rates: Result<Arc<Rates>, Vec<MappingFault>>,
}

impl Found {
    fn rate_faults(&self) -> &[MappingFault] {
        self.rates.as_ref().err().map_or(&[], Vec::as_slice)
    }
}

fn find(config: &Config) -> Found {
    let (registry, broken) = Registry::load(&source_of(config));
    Found { registry, broken, rates: rates(config).map(Arc::new) }
}

async fn read_files(config: &Arc<Config>) -> Result<Found, StoreError> {
    let config = Arc::clone(config);
    blocking(move || find(&config)).await
}

async fn join_stored(config: &Arc<Config>, store: &Store, found: Found) -> Result<Catalog, StoreError> {
    let kept = store.newest_mappings(names(&found.registry)).await?;
    let config = Arc::clone(config);
    blocking(move || join(&config, found, kept)).await
}

/// Files and compiling take their time: on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Fault("reading mappings panicked".to_owned()))
}

async fn keep(store: &Store, good: Vec<MappingVersion>) -> Result<(), StoreError> {
    let new = store.keep_mappings(good).await?;
    if new > 0 {
        tracing::info!(versions = new, "new versions of mappings are kept in the store");
    }
    Ok(())
}

fn names(registry: &Registry) -> Vec<String> {
    registry.names().map(str::to_owned).collect()
}

/// The mappings of a registry as the store keeps them.
fn versions(registry: &Registry) -> Vec<MappingVersion> {
    let version = |mapping: &Arc<crate::mapping::Mapping>| {
        let files = registry.files(&mapping.name)?;
        let (name, version) = (mapping.name.clone(), mapping.version.clone());
        Some(MappingVersion { name, version, hash: files.digest(), files: files.archive().into() })
    };
    registry.iter().filter_map(version).collect()
}

/// What ought to be there and is not: mappings with faults, and those that a broker names and no folder has.
fn missing(config: &Config, registry: &Registry, broken: &[Broken]) -> BTreeMap<String, Vec<MappingFault>> {
    let (whole, single): (Vec<_>, Vec<_>) = broken.iter().partition(|broken| broken.name.is_empty());
    let mut missing: BTreeMap<_, _> = single.into_iter().map(|broken| (broken.name.clone(), broken.faults.clone())).collect();
    for (broker, settings) in &config.brokers {
        let name = settings.mapping.as_str();
        if registry.get(name).is_none() && !missing.contains_key(name) {
            let of_folder: Vec<MappingFault> = whole.iter().flat_map(|broken| broken.faults.clone()).collect();
            let gone = || {
                let fault = MappingFault::whole(name, format!("there is no such folder, and brokers.{broker} names it"));
                vec![MappingFault { suggestion: nearest(name, registry.names()), ..fault }]
            };
            missing.insert(name.to_owned(), if of_folder.is_empty() { gone() } else { of_folder });
        }
    }
    missing
}

/// Puts stored versions in the place of what the files did not give.
fn join(config: &Config, found: Found, kept: Vec<MappingVersion>) -> Catalog {
    let Found { mut registry, broken, rates } = found;
    let mut missing = missing(config, &registry, &broken);
    let mut standings = Standings::default();
    for version in kept {
        let name = version.name.clone();
        match (missing.get_mut(&name), recall(&mut registry, version)) {
            (Some(_), Ok(())) => {}
            (Some(faults), Err(more)) => faults.extend(more),
            (None, Ok(())) => standings.former(name),
            (None, Err(faults)) => {
                for fault in faults {
                    tracing::warn!(mapping = name, fault = %fault, "messages of a former mapping cannot be sent");
                }
            }
        }
    }
    for (name, faults) in missing {
        standings.faulty(name, faults);
    }
    Catalog::new(config, registry, rates.as_ref().ok()).with_standings(standings)
}

/// Adds a stored version to a registry, if its files are what was stored and this program can use them.
fn recall(registry: &mut Registry, kept: MappingVersion) -> Result<(), Vec<MappingFault>> {
    let files = Files::from_archive(&kept.name, &kept.files).filter(|files| files.digest() == kept.hash);
    let Some(files) = files else {
        let message = format!("the stored version {} is damaged: its files are not those of its hash", kept.version);
        return Err(vec![MappingFault::whole(&kept.name, message)]);
    };
    registry.add(files).map_err(|broken| {
        let told =
            |fault: MappingFault| MappingFault { message: format!("in the stored version {}: {}", kept.version, fault.message), ..fault };
        broken.faults.into_iter().map(told).collect()
    })
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
    use super::*;

    const CONFIG: &str = r#"
        [callbacks]
        certificate = "nowhere.pem"
        key = "nowhere.key"
        client_ca = "nowhere-ca.pem"
        [posts.KRA]
        name = "Korea Post"
        api_keys = ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
        [brokers.uk-broker]
        mapping = "a"
        url = "https://localhost:9443/declarations"
        ca = "nowhere-ca.pem"
        certificate = "nowhere.pem"
        key = "nowhere.key"
        rate = { per_second = 50 }
        [[routes]]
        broker = "uk-broker"
    "#;

    fn files(name: &str, template: &str) -> Files {
        let manifest = "title = \"T\"\nversion = \"1.0.0\"\nsource = \"S\"\n[transport]\ncontent_type = \"application/xml\"\n";
        let files = [("mapping.toml", manifest), ("declaration.xml", template)];
        Files { name: name.to_owned(), files: files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into() }
    }

    fn stored(files: &Files) -> MappingVersion {
        let version = format!("1.0.0+{}", files.hash());
        MappingVersion { name: files.name.clone(), version, hash: files.digest(), files: files.archive().into() }
    }

    /// State and first fault of the mapping `a`, whose folder has faults, with what the store gives.
    fn joined(kept: Vec<MappingVersion>) -> (Catalog, MappingState, String) {
        let config = crate::config::load_text(CONFIG, std::iter::empty()).expect("a good configuration");
        let mut registry = Registry::default();
        let broken = registry.add(files("a", "<R>")).expect_err("faults");
        let catalog = join(&config, Found { registry, broken: vec![broken], rates: Ok(Arc::default()) }, kept);
        let listed = catalog.listed();
        let [a] = listed[..] else { panic!("one mapping is listed: {listed:?}") };
        let (state, faults) = (a.state, a.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        assert!(faults.starts_with("a/declaration.xml:1:"), "{faults}");
        (catalog, state, faults)
    }

    #[test]
    fn a_stored_version_serves_only_when_it_is_whole_and_can_be_used() {
        let good = stored(&files("a", "<R/>"));
        let (catalog, state, _) = joined(vec![good.clone()]);
        let channel = catalog.channel("uk-broker").expect("served");
        assert_eq!((state, &channel.mapping.version), (MappingState::Stored, &good.version));

        let (catalog, state, _) = joined(Vec::new());
        assert!(state == MappingState::Broken && catalog.channel("uk-broker").is_none());

        // Another good mapping's files under this hash: they load, and are not what was kept.
        let damaged = MappingVersion { files: files("a", "<Other/>").archive().into(), ..good.clone() };
        let (catalog, state, faults) = joined(vec![damaged]);
        assert!(state == MappingState::Broken && catalog.channel("uk-broker").is_none());
        assert!(faults.contains("is damaged"), "{faults}");

        let (_, state, faults) = joined(vec![MappingVersion { files: b"junk".as_slice().into(), ..good }]);
        assert!(state == MappingState::Broken && faults.contains("is damaged"), "{faults}");

        let (_, state, faults) = joined(vec![stored(&files("a", "<R>{no_such_name}</R>"))]);
        assert!(state == MappingState::Broken && faults.contains("a/declaration.xml:1:5: in the stored version 1.0.0+"), "{faults}");
    }

    #[test]
    fn a_folder_that_a_broker_names_is_missed_and_one_that_nobody_names_is_former() {
        let config = crate::config::load_text(CONFIG, std::iter::empty()).expect("a good configuration");
        let kept = vec![stored(&files("a", "<R/>")), stored(&files("left", "<R/>"))];
        let catalog = join(&config, Found { registry: Registry::default(), broken: Vec::new(), rates: Ok(Arc::default()) }, kept);
        let listed = catalog.listed();
        let names: Vec<_> = listed.iter().map(|listed| (listed.name, listed.state)).collect();
        assert_eq!(names, [("a", MappingState::Stored)]);
        assert_eq!(listed[0].faults[0].to_string(), "a:0:0: there is no such folder, and brokers.uk-broker names it");
        assert!(catalog.registry().get("left").is_some(), "its messages can still be sent");
        let mut registry = Registry::default();
        registry.add(files("aa", "<R/>")).expect("loads");
        let told = missing(&config, &registry, &[])["a"][0].to_string();
        assert_eq!(told, "a:0:0: there is no such folder, and brokers.uk-broker names it (did you mean aa?)");
    }

    const PLAIN_MANIFEST: &str = "title = \"t\"\nversion = \"1.0.0\"\nsource = \"s\"\n[transport]\ncontent_type = \"application/xml\"\n";
    const RATES: &str = "from,to,valid_from,valid_until,rate,source\nEUR,GBP,2026-11-01,,0.88,HMRC\n";

    fn configuration(folder: &std::path::Path) -> Config {
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
        crate::config::load_text(&text, std::iter::empty()).expect("a configuration")
    }

    /// A broken rate table is told with its line; only who converts amounts stands still.
    #[test]
    fn a_broken_rate_table_harms_only_those_who_need_it() {
        let folder = std::env::temp_dir().join(format!("preclear-rates-{}", std::process::id()));
        for (name, value) in [("converts", "contents | total('GBP', 'value')"), ("plain", "item_id")] {
            let mapping = folder.join("m").join(name);
            std::fs::create_dir_all(&mapping).expect("folder");
            std::fs::write(mapping.join("mapping.toml"), PLAIN_MANIFEST).expect("written");
            std::fs::write(mapping.join("declaration.xml"), format!("<R>{{{value}}}</R>")).expect("written");
        }
        std::fs::create_dir_all(folder.join("m/plain/codes")).expect("folder");
        std::fs::write(folder.join("m/plain/codes/modes.csv"), "key,value\nE,2\n").expect("written");
        let config = configuration(&folder);
        let read_with = |table: Option<&str>| {
            let file = folder.join("rates.csv");
            let _ = std::fs::remove_file(&file);
            table.iter().for_each(|table| std::fs::write(&file, table).expect("written"));
            let found = find(&config);
            let told: Vec<String> = found.rate_faults().iter().map(ToString::to_string).collect();
            let catalog = join(&config, found, Vec::new());
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
