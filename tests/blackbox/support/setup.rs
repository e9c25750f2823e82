//! The configuration of a test gateway, as an operator would write it.

use super::folder::Folder;
use super::pki::{Party, Pki};
use super::sha256_hex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The keys of the two posts; only their hashes are configured.
pub const KOREA_KEY: &str = "kra-key-7f3b1c0d9e";
pub const JAPAN_KEY: &str = "jpx-key-51aa0c77e2";

/// Everything that a gateway needs to be started, and started again.
pub struct Setup {
    pub folder: Folder,
    pub pki: Pki,
    /// Lines of a section that has defaults of its own: `("intake", "max_body_bytes = 1000")`.
    pub lines: Vec<(String, String)>,
    /// Level of the log.
    pub log: String,
    /// The folder of mappings.
    pub mappings: PathBuf,
    brokers: BTreeMap<String, BTreeMap<String, String>>,
    routes: Vec<(String, String)>,
}

fn mappings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")
}

/// What the mapping says that it needs, with the examples that it gives: a broker's settings as TOML lines.
fn settings(mapping: &str) -> String {
    let text = std::fs::read_to_string(mappings().join(mapping).join("mapping.toml")).expect("the mapping is there");
    let mapping: toml::Table = text.parse().expect("mapping.toml is TOML");
    let mut lines = String::new();
    for setting in mapping.get("settings").and_then(toml::Value::as_array).into_iter().flatten() {
        let name = setting["name"].as_str().expect("a setting has a name");
        let required = setting.get("required").and_then(toml::Value::as_bool).unwrap_or(false);
        match setting.get("example") {
            Some(example) if required => writeln!(lines, "{name} = {example}").unwrap(),
            None if required => panic!("the required setting {name} has no example"),
            _ => {}
        }
    }
    lines
}

impl Setup {
    /// Posts `KRA` and `JPX`, no broker yet, everything quick.
    pub fn new(test: &str) -> Setup {
        let (folder, pki) = (Folder::new(test), Pki::new());
        pki.write(folder.path());
        Setup {
            folder,
            pki,
            lines: vec![("webhooks".into(), r#"dangerous_allow = ["127.0.0.1"]"#.into())],
            log: "info".into(),
            mappings: mappings(),
            brokers: BTreeMap::new(),
            routes: Vec::new(),
        }
    }

    /// Adds a broker that takes what the expression selects; earlier ones go first.
    pub fn broker(&mut self, name: &str, url: &str, when: &str) {
        let path = |file: &str| format!("{:?}", self.folder.file(file).display().to_string());
        let entries = [
            ("mapping", r#""hmrc-cds""#.to_owned()),
            ("url", format!("{url:?}")),
            ("ca", path("ca.pem")),
            ("certificate", path("gateway-client.pem")),
            ("key", path("gateway-client.key")),
            ("callback_identities", format!(r#"["{name}.example"]"#)),
            ("rate", "{ per_second = 500, burst = 50 }".to_owned()),
            ("max_in_flight", "16".to_owned()),
            ("timeout_s", "10".to_owned()),
            ("idempotent", "true".to_owned()),
            ("retry", "{ first_ms = 100, max_ms = 1000, give_up_after_s = 3600 }".to_owned()),
            ("breaker", "{ failure_share = 0.5, min_calls = 10, window_s = 30, open_ms = 500 }".to_owned()),
        ];
        let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.brokers.insert(name.to_owned(), entries);
        self.routes.push((when.to_owned(), name.to_owned()));
    }

    /// Sets one entry of a broker, as TOML.
    pub fn tune(&mut self, broker: &str, key: &str, value: &str) {
        self.brokers.get_mut(broker).expect("a broker of this set-up").insert(key.to_owned(), value.to_owned());
    }

    /// Adds a line to a section.
    pub fn line(&mut self, section: &str, line: &str) {
        self.lines.push((section.to_owned(), line.to_owned()));
    }

    /// The certificate of a broker's callbacks.
    pub fn identity(&self, broker: &str) -> &Party {
        match broker {
            "uk-broker" => &self.pki.uk_broker,
            "other-broker" => &self.pki.other_broker,
            _ => panic!("no certificate for {broker}"),
        }
    }

    /// Where the configuration is written.
    pub fn config_path(&self) -> PathBuf {
        self.folder.file("preclear.toml")
    }

    /// Writes the configuration.
    pub fn write(&self) {
        std::fs::write(self.config_path(), self.text()).unwrap();
    }

    fn text(&self) -> String {
        let path = |file: &str| format!("{:?}", self.folder.file(file).display().to_string());
        let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut add = |section, line: String| sections.entry(section).or_default().push(line);
        for listener in ["intake", "callbacks", "ops"] {
            add(listener, r#"listen = "127.0.0.1:0""#.into());
        }
        add("callbacks", format!("certificate = {}", path("gateway.pem")));
        add("callbacks", format!("key = {}", path("gateway.key")));
        add("callbacks", format!("client_ca = {}", path("ca.pem")));
        add("store", format!("url = \"sqlite:{}\"", self.folder.file("preclear.db").display()));
        add("store", "min_free_mb = 16".into());
        add("mappings", format!("dir = {:?}", self.mappings.display().to_string()));
        for (section, line) in &self.lines {
            add(section, line.clone());
        }
        let mut text = String::new();
        for (section, lines) in sections {
            writeln!(text, "[{section}]\n{}\n", lines.join("\n")).unwrap();
        }
        for (code, name, key, country) in [("KRA", "Korea Post", KOREA_KEY, "KR"), ("JPX", "Japan Post", JAPAN_KEY, "JP")] {
            let key = sha256_hex(key.as_bytes());
            writeln!(text, "[posts.{code}]\nname = \"{name}\"\napi_keys = [\"sha256:{key}\"]\nitem_countries = [\"{country}\"]\n").unwrap();
        }
        for (name, entries) in &self.brokers {
            writeln!(text, "[brokers.{name}]").unwrap();
            for (key, value) in entries {
                writeln!(text, "{key} = {value}").unwrap();
            }
            writeln!(text, "\n[brokers.{name}.settings]\n{}", settings("hmrc-cds")).unwrap();
        }
        for (when, broker) in &self.routes {
            writeln!(text, "[[routes]]\nwhen = {when:?}\nbroker = {broker:?}\n").unwrap();
        }
        text
    }
}
