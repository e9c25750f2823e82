//! File and environment to [`Config`]: overlay, reading, and the rules between sections.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use super::Config;
use crate::domain::json::Json;
use crate::domain::record::{FieldType, Reader};

/// Prefix of environment variables that override the file.
const ENVIRONMENT_PREFIX: &str = "PRECLEAR__";

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Dotted path of the key, for example `brokers.uk-broker.rate.per_second`; empty for the file.
    pub key: String,
    /// What is allowed or what to do.
    pub detail: String,
}

impl ConfigFault {
    /// A fault of a key.
    pub fn new(key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { key: key.into(), detail: detail.into() }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() { f.write_str(&self.detail) } else { write!(f, "{}: {}", self.key, self.detail) }
    }
}

/// Reads a file, overlaid by the environment.
///
/// # Errors
/// All faults at once.
pub fn load(path: &Path) -> Result<Config, Vec<ConfigFault>> {
    let (config, faults) = read(path)?;
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// Reads a file as far as it can be read, with all its faults: what is faulty is a default, so that
/// `preclear check` can go on to look at the rest.
///
/// # Errors
/// When the file cannot be read at all or is no TOML.
pub fn read(path: &Path) -> Result<(Config, Vec<ConfigFault>), Vec<ConfigFault>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![ConfigFault::new("", format!("cannot read the configuration {}: {}", path.display(), error.kind()))])?;
    let environment = std::env::vars().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX));
    read_text(&text, environment)
}

/// Reads a text, overlaid by variables.
///
/// # Errors
/// All faults at once.
pub fn load_text(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Vec<ConfigFault>> {
    let (config, faults) = read_text(text, environment)?;
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

fn read_text(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<(Config, Vec<ConfigFault>), Vec<ConfigFault>> {
    let mut table: toml::Table = toml::from_str(text).map_err(|error| vec![syntax_fault(text, &error)])?;
    let mut faults = Vec::new();
    for (name, value) in environment {
        overlay(&mut table, &name, &value, &mut faults);
    }
    let mut reader = Reader::default();
    let config = <Config as FieldType>::read(&to_json(&toml::Value::Table(table)), &mut reader);
    let (found, _) = reader.finish();
    faults.extend(found.into_vec().into_iter().map(|fault| ConfigFault::new(dotted(&fault.pointer), fault.detail)));
    let mut between = Vec::new();
    check_sections(&config, &mut between);
    let untold: Vec<_> = between.into_iter().filter(|fault| !is_told(&faults, &fault.key)).collect();
    faults.extend(untold);
    Ok((config, faults))
}

/// Whether a place, one above it or one below it has a fault already: what could not be read is not
/// judged a second time by the default that stands there.
pub fn is_told(faults: &[ConfigFault], place: &str) -> bool {
    let within = |inner: &str, outer: &str| inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    faults.iter().any(|fault| within(&fault.key, place) || within(place, &fault.key))
}

fn syntax_fault(text: &str, error: &toml::de::Error) -> ConfigFault {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = &text.as_bytes()[..at];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    ConfigFault::new("", format!("not well-formed TOML at line {line}, column {column}"))
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~")
}

/// Sets one key by a variable. Names match without regard to case, and `_` stands for `-` too.
fn overlay(table: &mut toml::Table, name: &str, value: &str, faults: &mut Vec<ConfigFault>) {
    let path: Vec<String> = name.trim_start_matches(ENVIRONMENT_PREFIX).split("__").map(str::to_lowercase).collect();
    let Some((last, sections)) = path.split_last() else { return };
    let mut table = table;
    for section in sections {
        let entry = table.entry(existing_key(table, section)).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let toml::Value::Table(inner) = entry else {
            faults.push(ConfigFault::new(name, "this environment variable names something inside a key that is no section"));
            return;
        };
        table = inner;
    }
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}")).ok().and_then(|mut t| t.remove("value"));
    table.insert(existing_key(table, last), parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
}

fn existing_key(table: &toml::Table, wanted: &str) -> String {
    let same = |key: &&String| key.eq_ignore_ascii_case(wanted) || key.replace('-', "_").eq_ignore_ascii_case(wanted);
    table.keys().find(same).cloned().unwrap_or_else(|| wanted.to_owned())
}

fn to_json(value: &toml::Value) -> Json<'_> {
    match value {
        toml::Value::String(text) => Json::Text(Cow::Borrowed(text)),
        toml::Value::Integer(number) => Json::Integer(*number),
        toml::Value::Float(number) => Json::Float(*number),
        toml::Value::Boolean(truth) => Json::Bool(*truth),
        toml::Value::Datetime(time) => Json::Text(Cow::Owned(time.to_string())),
        toml::Value::Array(list) => Json::List(list.iter().map(to_json).collect()),
        toml::Value::Table(table) => Json::Object(table.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), to_json(value))).collect()),
    }
}

/// What sections demand of one another.
fn check_sections(config: &Config, faults: &mut Vec<ConfigFault>) {
    let mut fault = |key: String, detail: &str| faults.push(ConfigFault::new(key, detail));
    if config.posts.is_empty() {
        fault("posts".into(), "at least one post is needed, for example [posts.KRA]");
    }
    for (index, route) in config.routes.iter().enumerate() {
        if !config.brokers.contains_key(route.broker.as_str()) {
            fault(format!("routes.{index}.broker"), "no such broker is configured");
        }
    }
    for (code, post) in &config.posts {
        if post.api_keys.is_empty() && post.client_identities.is_empty() {
            fault(format!("posts.{code}.api_keys"), "a post needs an API key or a client identity");
        }
        for (index, country) in post.item_countries.iter().enumerate() {
            if country.as_str() != "*" && !crate::domain::codes::is_country(country.as_str()) {
                fault(format!("posts.{code}.item_countries.{index}"), "an ISO 3166-1 alpha-2 country code, or \"*\"");
            }
        }
        for (index, broker) in post.brokers.iter().flatten().enumerate() {
            if !config.brokers.contains_key(broker.as_str()) {
                fault(format!("posts.{code}.brokers.{index}"), "no such broker is configured");
            }
        }
        for word in post.retention_reasons.keys() {
            if !["inspection", "documents_missing", "duty_unpaid", "other"].contains(&word.as_str()) {
                fault(format!("posts.{code}.retention_reasons"), "the words are inspection, documents_missing, duty_unpaid, other");
            }
        }
    }
    for (name, broker) in &config.brokers {
        check_broker(name, broker, &mut fault);
    }
    check_listeners(config, &mut fault);
}

fn check_broker(name: &str, broker: &super::Broker, fault: &mut impl FnMut(String, &str)) {
    let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !plain {
        fault(format!("brokers.{name}"), "a broker's name has letters, digits, - and _ only, at most 64");
    }
    check_addresses(name, broker, fault);
    check_proof(name, broker, fault);
    let at_least_one = [
        ("rate.per_second", broker.rate.per_second),
        ("rate.burst", broker.rate.burst),
        ("max_in_flight", broker.max_in_flight),
        ("timeout_s", broker.timeout_s),
        ("retry.first_ms", broker.retry.first_ms),
        ("breaker.min_calls", broker.breaker.min_calls),
        ("breaker.window_s", broker.breaker.window_s),
        ("breaker.open_ms", broker.breaker.open_ms),
    ];
    for (key, value) in at_least_one {
        if value == 0 || value > 1_000_000_000 {
            fault(format!("brokers.{name}.{key}"), "from 1 to 1000000000");
        }
    }
    if broker.retry.max_ms < broker.retry.first_ms {
        fault(format!("brokers.{name}.retry.max_ms"), "at least first_ms");
    }
}

fn check_addresses(name: &str, broker: &super::Broker, fault: &mut impl FnMut(String, &str)) {
    let urls = &broker.urls;
    let own = [
        ("urls.amendment", &urls.amendment),
        ("urls.cancellation", &urls.cancellation),
        ("urls.presentation", &urls.presentation),
        ("urls.query", &urls.query),
        ("urls.poll", &urls.poll),
    ];
    let given = own.into_iter().filter_map(|(key, url)| Some((key, url.as_ref()?)));
    for (key, url) in [("url", &broker.url)].into_iter().chain(given) {
        if url.0.scheme() != "https" {
            fault(format!("brokers.{name}.{key}"), "has to be https: messages travel over TLS only");
        }
    }
    if let Some(poll) = &broker.poll {
        if urls.poll.is_none() {
            fault(format!("brokers.{name}.urls.poll"), "`poll` needs the address to poll");
        }
        if poll.every_s == 0 || poll.every_s > 86_400 {
            fault(format!("brokers.{name}.poll.every_s"), "from 1 to 86400");
        }
    }
}

/// How we prove who we are: the client certificate, another proof, or both, but never nothing.
fn check_proof(name: &str, broker: &super::Broker, fault: &mut impl FnMut(String, &str)) {
    for (key, detail) in broker.auth.as_ref().and_then(|auth| auth.judge().err()).into_iter().flatten() {
        fault(format!("brokers.{name}.auth.{key}"), detail);
    }
    let alone = broker.auth.as_ref().is_none_or(|auth| auth.kind == super::AuthKind::None);
    match (&broker.certificate, &broker.key) {
        (None, None) if alone => fault(
            format!("brokers.{name}.certificate"),
            "`certificate` and `key` may be left out only where `auth` is another proof of who we are: not `none`",
        ),
        (Some(_), None) => fault(format!("brokers.{name}.key"), "`certificate` and `key` belong together"),
        (None, Some(_)) => fault(format!("brokers.{name}.certificate"), "`certificate` and `key` belong together"),
        _ => {}
    }
}

fn check_listeners(config: &Config, fault: &mut impl FnMut(String, &str)) {
    let ops = &config.ops;
    if !ops.listen.0.ip().is_loopback() && ops.token.is_none() && ops.client_ca.is_none() {
        fault("ops.listen".into(), "off loopback the operators' listener needs `token` or `client_ca`");
    }
    let pairs = [
        ("intake", &config.intake.certificate, &config.intake.key, &config.intake.client_ca),
        ("ops", &ops.certificate, &ops.key, &ops.client_ca),
    ];
    for (section, certificate, key, client_ca) in pairs {
        if certificate.is_some() != key.is_some() {
            fault(format!("{section}.key"), "`certificate` and `key` belong together");
        }
        if client_ca.is_some() && certificate.is_none() {
            fault(format!("{section}.certificate"), "client certificates need TLS: `certificate` and `key`");
        }
    }
    if !config.store.url.as_str().starts_with("sqlite:") {
        fault("store.url".into(), "`sqlite:FILE`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [callbacks]
        certificate = "a.pem"
        key = "a.key"
        client_ca = "ca.pem"
        [posts.KRA]
        name = "Korea Post"
        api_keys = ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
        item_countries = ["KR"]
        [brokers.uk-broker]
        mapping = "hmrc-cds"
        url = "https://localhost:9443/declarations"
        ca = "ca.pem"
        certificate = "c.pem"
        key = "c.key"
        rate = { per_second = 50, burst = 10 }
        [brokers.uk-broker.settings]
        declarant_eori = "GB123456789000"
        [[routes]]
        when = "recipient.country == 'GB'"
        broker = "uk-broker"
    "#;

    fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        load_text(text, environment).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_is_read_and_the_environment_overrides_it() {
        let environment = [("PRECLEAR__BROKERS__UK_BROKER__RATE__PER_SECOND", "7"), ("PRECLEAR__INTAKE__LISTEN", "127.0.0.1:0")];
        let environment = environment.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
        let config = load_text(GOOD, environment).expect("good");
        assert_eq!(config.brokers["uk-broker"].rate.per_second, 7);
        assert_eq!(config.intake.listen.0.port(), 0);
        assert_eq!(config.ops.listen.0.port(), 9090);
        assert_eq!(config.brokers["uk-broker"].settings.0["declarant_eori"].as_str(), Some("GB123456789000"));
    }

    #[test]
    fn all_faults_are_told_at_once_by_path_and_without_values() {
        let text = GOOD
            .replace("[posts.KRA]", "[intakes]\nx = 1\n[posts.KRA]\nnames = \"secret\"")
            .replace("sha256:9f86", "sha256:zz")
            .replace("per_second = 50", "per_second = \"secret\"")
            .replace("mapping =", "maping =");
        let faults = faults(&text, &[("PRECLEAR__INTAKE__LISTEN", "secret")]);
        for path in [
            "intakes",
            "posts.KRA.names",
            "posts.KRA.api_keys.0",
            "brokers.uk-broker.rate.per_second",
            "brokers.uk-broker.mapping",
            "brokers.uk-broker.maping",
            "intake.listen",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(&format!("{path}: "))), "{path} in {faults:#?}");
        }
        assert!(!faults.iter().any(|fault| fault.contains("secret")), "{faults:#?}");
        assert!(faults.iter().any(|fault| fault.contains("did you mean mapping?")));
    }

    #[test]
    fn overrides_and_code_rows_are_read_and_their_faults_name_the_key() {
        let good = r#"
            [[brokers.uk-broker.overrides]]
            when = "post.code == 'KRA'"
            settings = { declarant_eori = "GB987654321000" }
            [brokers.uk-broker.codes.transport]
            E = "4"
            [mappings]
            rates = "rates.csv"
        "#;
        let config = load_text(&format!("{GOOD}{good}"), std::iter::empty()).expect("good");
        let broker = &config.brokers["uk-broker"];
        assert_eq!(broker.overrides[0].when.as_str(), "post.code == 'KRA'");
        assert_eq!(broker.overrides[0].settings.0["declarant_eori"].as_str(), Some("GB987654321000"));
        assert_eq!(broker.codes["transport"].0["E"].as_str(), Some("4"));
        assert!(config.mappings.rates.is_some());
        let bad = good
            .replace("when =", "wen =")
            .replace("rates =", "rate =")
            .replace("[brokers.uk-broker.codes.transport]\n            E", "[brokers.uk-broker.codes]\n            E");
        let faults = faults(&format!("{GOOD}{bad}"), &[]);
        for path in
            ["brokers.uk-broker.overrides.0.when", "brokers.uk-broker.overrides.0.wen", "mappings.rate", "brokers.uk-broker.codes.E"]
        {
            assert!(faults.iter().any(|fault| fault.starts_with(&format!("{path}: "))), "{path} in {faults:#?}");
        }
    }

    #[test]
    fn sections_are_checked_against_one_another() {
        let text = GOOD.replace("broker = \"uk-broker\"", "broker = \"nobody\"").replace("https://localhost", "http://localhost")
            + "[ops]\nlisten = \"0.0.0.0:9090\"";
        let faults = faults(&text, &[]);
        for path in ["routes.0.broker", "brokers.uk-broker.url", "ops.listen"] {
            assert!(faults.iter().any(|fault| fault.starts_with(path)), "{path} in {faults:#?}");
        }
        assert_eq!(
            super::load_text("a = [", std::iter::empty()).expect_err("syntax")[0].to_string(),
            "not well-formed TOML at line 1, column 6"
        );
    }
}
