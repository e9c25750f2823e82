//! What `preclear check` looks at beyond the configuration's own rules: routes, mappings and
//! settings, certificates, the store's folder. Every fault, none of them fatal to the others.

use std::path::Path;

use super::mappings::{self, Foreseen};
use crate::catalog::MappingState;
use crate::config::{Broker, Config, FilePath};
use crate::domain::time::Timestamp;
use crate::intake::Router;
use crate::mapping::Mapping;
use crate::net::auth;
use crate::net::tls::{self, MaterialFault, Part, Purpose, ServerTlsFiles};

/// One thing that is wrong or has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Part of the gateway: `routes`, `mappings`, `certificates`, `store`, `effect`.
    pub area: &'static str,
    /// Key of the configuration, or file.
    pub place: String,
    /// What is wrong and what to do.
    pub detail: String,
    /// Whether it is only to be known.
    pub note: bool,
}

fn fault(area: &'static str, place: impl Into<String>, detail: impl ToString) -> Finding {
    Finding { area, place: place.into(), detail: detail.to_string(), note: false }
}

/// Everything that is wrong with a configuration on this machine at this moment.
pub fn check(config: &Config, now: Timestamp) -> Vec<Finding> {
    tls::install_crypto_provider();
    let mut findings = Vec::new();
    if let Err(faults) = Router::compile(config) {
        findings.extend(faults.into_iter().map(|found| fault("routes", format!("routes.{}.when", found.rule - 1), found.detail)));
    }
    check_mappings(config, &mut findings);
    check_listeners(config, now, &mut findings);
    for (name, broker) in &config.brokers {
        check_broker(name, broker, now, &mut findings);
    }
    check_store(config, &mut findings);
    without_effect(config, &mut findings);
    findings
}

/// The same that a start would find, and what it would serve in the place of what cannot be used.
fn check_mappings(config: &Config, findings: &mut Vec<Finding>) {
    let Foreseen { catalog, unasked, rate_faults } = mappings::foresee(config);
    findings.extend(rate_faults.iter().map(|found| fault("mappings", "mappings.rates", found)));
    for (name, broker) in &config.brokers {
        check_poll(name, broker, catalog.mapping_of(name).as_deref(), findings);
    }
    for listed in catalog.listed() {
        for found in listed.faults.iter().map(|found| fault("mappings", "", found)) {
            // A folder that cannot be read is a fault of each mapping in it, and told once.
            if !findings.contains(&found) {
                findings.push(found);
            }
        }
        if let (MappingState::Stored, Some(mapping)) = (listed.state, listed.mapping) {
            let detail = format!("a start would serve the stored version {} in the place of its files", mapping.version);
            findings.push(Finding { note: true, ..fault("mappings", listed.name, detail) });
        }
    }
    if let Some(why) = unasked {
        findings.push(fault("mappings", "store.url", format!("whether a version is stored cannot be seen: {why}")));
    }
    findings.extend(catalog.faults().map(|found| fault("mappings", found.key.clone(), &found.detail)));
}

fn check_listeners(config: &Config, now: Timestamp, findings: &mut Vec<Finding>) {
    let optional = |section, certificate: &Option<FilePath>, key: &Option<FilePath>, ca: &Option<FilePath>| {
        Some((section, certificate.clone()?, key.clone()?, ca.clone(), None, false))
    };
    let callbacks = &config.callbacks;
    let listeners = [
        optional("intake", &config.intake.certificate, &config.intake.key, &config.intake.client_ca),
        optional("ops", &config.ops.certificate, &config.ops.key, &config.ops.client_ca),
        Some((
            "callbacks",
            callbacks.certificate.clone(),
            callbacks.key.clone(),
            Some(callbacks.client_ca.clone()),
            callbacks.crl.clone(),
            true,
        )),
    ];
    for (section, certificate, key, client_ca, crl, required) in listeners.into_iter().flatten() {
        let files = ServerTlsFiles {
            certificate: certificate.as_path(),
            key: key.as_path(),
            client_ca: client_ca.as_ref().map(FilePath::as_path),
            crl: crl.as_ref().map(FilePath::as_path),
            required,
        };
        match tls::server_config(&files, now) {
            Err(found) => findings.push(fault("certificates", section, found)),
            Ok(tls) => findings.extend(tls.alarm.map(|alarm| fault("certificates", section, alarm))),
        }
    }
}

fn check_broker(name: &str, broker: &Broker, now: Timestamp, findings: &mut Vec<Finding>) {
    let place = |key: &str| format!("brokers.{name}.{key}");
    let mut disabled = |key: &str, found: MaterialFault| {
        findings.push(fault("certificates", place(key), format!("{found}; the broker is disabled, nothing is sent to it")));
    };
    if let (Some(certificate), Some(key)) = (&broker.certificate, &broker.key)
        && let Err(found) = tls::load_pair(certificate.as_path(), key.as_path(), Purpose::Client, now)
    {
        disabled("certificate", found);
    }
    match &broker.ca {
        Some(ca) => {
            if let Err(found) = tls::load_roots(ca.as_path(), now) {
                disabled("ca", found);
            }
        }
        None if !tls::trusts_somebody() => {
            let detail =
                "none, and this machine trusts nobody (SSL_CERT_FILE can name a file); the broker is disabled, nothing is sent to it";
            findings.push(fault("certificates", place("ca"), detail));
        }
        None => findings.push(Finding { note: true, ..fault("certificates", place("ca"), "none: whoever this machine trusts is trusted") }),
    }
    // A fault of `ca` is told above.
    if let Err(found) = auth::check(broker, now)
        && found.part != Part::Ca
    {
        findings.push(fault("certificates", place("auth"), format!("{found}; the broker is disabled, nothing is sent to it")));
    }
    if broker.callback_identities.is_empty() {
        findings.push(Finding { note: true, ..fault("certificates", place("callback_identities"), "none: this broker cannot call back") });
    }
}

/// Polling takes an interval and an address here, and rules in the mapping.
fn check_poll(name: &str, broker: &Broker, mapping: Option<&Mapping>, findings: &mut Vec<Finding>) {
    if broker.poll.is_some() && mapping.is_some_and(|mapping| mapping.poll().is_none()) {
        let detail = "the mapping does not say how to poll: its notices.toml has no [poll]";
        findings.push(fault("mappings", format!("brokers.{name}.poll"), detail));
    }
    if broker.poll.is_none() && broker.urls.poll.is_some() {
        let place = format!("brokers.{name}.urls.poll");
        findings.push(Finding { note: true, ..fault("effect", place, "has no effect without `poll = { every_s = … }`") });
    }
}

fn check_store(config: &Config, findings: &mut Vec<Finding>) {
    let path = Path::new(config.store.url.as_str().trim_start_matches("sqlite:"));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::metadata(folder) {
        Err(error) => {
            findings.push(fault("store", "store.url", format!("the folder {} cannot be used: {}", folder.display(), error.kind())))
        }
        Ok(metadata) if !metadata.is_dir() => findings.push(fault("store", "store.url", format!("{} is no folder", folder.display()))),
        Ok(_) => {
            let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
            if !writable {
                findings.push(fault("store", "store.url", format!("the folder {} cannot be written", folder.display())));
            }
            check_store_file(path, findings);
        }
    }
}

/// A file that is there has to be a database that this process may write.
fn check_store_file(path: &Path, findings: &mut Vec<Finding>) {
    use std::io::Read as _;
    let mut head = [0u8; 16];
    let read = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => Err(error),
        Ok(mut file) => file.read(&mut head),
    };
    let place = format!("the file {}", path.display());
    match read {
        Err(error) => findings.push(fault("store", "store.url", format!("{place} cannot be read: {}", error.kind()))),
        Ok(0) => {}
        Ok(_) if &head != b"SQLite format 3\0" => findings.push(fault("store", "store.url", format!("{place} is no SQLite database"))),
        Ok(_) if rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err() => {
            findings.push(fault("store", "store.url", format!("{place} cannot be written")));
        }
        Ok(_) => {}
    }
}

/// Keys that are read and have no effect in this version: said, so that nobody relies on them.
fn without_effect(config: &Config, findings: &mut Vec<Finding>) {
    let defaults = Config::default();
    let mut say = |given: bool, place: String| {
        if given {
            findings.push(Finding { note: true, ..fault("effect", place, "has no effect in this version") });
        }
    };
    say(config.retention != defaults.retention, "retention".into());
    say(config.cluster != defaults.cluster, "cluster".into());
}
