//! The gateway's configuration and the judge's own mapping, written as an operator would write them.

use crate::goods::sha256;
use crate::pki::Pki;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The keys of the two posts; only their hashes are configured.
pub const KOREA_KEY: &str = "rig-kra-7f3b1c0d9e";
/// The other tenant.
pub const JAPAN_KEY: &str = "rig-jpx-51aa0c77e2";
/// Name of the one broker.
pub const BROKER: &str = "rig-broker";

/// The mapping's files.
const MAPPING: [(&str, &str); 5] = [
    ("mapping.toml", include_str!("../mapping/mapping.toml")),
    ("declaration.xml", include_str!("../mapping/declaration.xml")),
    ("amendment.xml", include_str!("../mapping/amendment.xml")),
    ("cancellation.xml", include_str!("../mapping/cancellation.xml")),
    ("notices.toml", include_str!("../mapping/notices.toml")),
];
const PRESENTATION: &str = include_str!("../mapping/presentation.xml");

/// What may differ from one scenario to another.
pub struct Setup {
    /// Entries of the broker, as TOML.
    pub broker: BTreeMap<&'static str, String>,
    /// Lines of sections: `("intake", "max_waiting = 10")`.
    pub lines: Vec<(&'static str, String)>,
    /// Where the store is, when it is not beside the configuration.
    pub store: Option<String>,
    /// Whether the mapping has a presentation message.
    pub presentation: bool,
}

impl Default for Setup {
    /// Everything quick, an idempotent broker without a limit that matters.
    fn default() -> Setup {
        let broker = [
            ("mapping", r#""rig""#),
            ("callback_identities", r#"["broker.example"]"#),
            ("rate", "{ per_second = 1000, burst = 200 }"),
            ("max_in_flight", "16"),
            ("timeout_s", "10"),
            ("idempotent", "true"),
            ("retry", "{ first_ms = 100, max_ms = 1000, give_up_after_s = 3600 }"),
            ("breaker", "{ failure_share = 0.5, min_calls = 10, window_s = 30, open_ms = 500 }"),
        ];
        let broker = broker.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
        Setup { broker, lines: vec![("store", "min_free_mb = 16".into())], store: None, presentation: false }
    }
}

impl Setup {
    /// Sets one entry of the broker, as TOML.
    pub fn broker(mut self, key: &'static str, value: &str) -> Setup {
        self.broker.insert(key, value.to_owned());
        self
    }

    /// Writes mapping, certificates and configuration into a folder.
    pub fn write(&self, folder: &Path, pki: &Pki, broker_url: &str) -> Result<()> {
        let mapping = folder.join("mappings/rig");
        std::fs::create_dir_all(&mapping)?;
        for (name, text) in MAPPING {
            std::fs::write(mapping.join(name), text)?;
        }
        if self.presentation {
            std::fs::write(mapping.join("presentation.xml"), PRESENTATION)?;
        }
        pki.write(folder)?;
        std::fs::write(folder.join("preclear.toml"), self.text(folder, broker_url)?)?;
        Ok(())
    }

    fn text(&self, folder: &Path, broker_url: &str) -> Result<String> {
        let path = |file: &str| format!("{:?}", folder.join(file).display().to_string());
        let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut add = |section, line: String| sections.entry(section).or_default().push(line);
        for listener in ["intake", "callbacks", "ops"] {
            add(listener, r#"listen = "127.0.0.1:0""#.into());
        }
        for (key, file) in [("certificate", "gateway.pem"), ("key", "gateway.key"), ("client_ca", "ca.pem")] {
            add("callbacks", format!("{key} = {}", path(file)));
        }
        let beside = || format!("sqlite:{}", folder.join("preclear.db").display());
        add("store", format!("url = {:?}", self.store.clone().unwrap_or_else(beside)));
        add("mappings", format!("dir = {}", path("mappings")));
        add("webhooks", r#"dangerous_allow = ["127.0.0.1"]"#.into());
        for (section, line) in &self.lines {
            add(section, line.clone());
        }
        let mut text = String::new();
        for (section, lines) in sections {
            writeln!(text, "[{section}]\n{}\n", lines.join("\n"))?;
        }
        for (code, key, country) in [("KRA", KOREA_KEY, "KR"), ("JPX", JAPAN_KEY, "JP")] {
            let hash = sha256(key.as_bytes());
            writeln!(text, "[posts.{code}]\nname = \"Post {code}\"\napi_keys = [\"sha256:{hash}\"]\nitem_countries = [\"{country}\"]\n")?;
        }
        writeln!(text, "[brokers.{BROKER}]\nurl = {broker_url:?}")?;
        for (key, file) in [("ca", "ca.pem"), ("certificate", "gateway-client.pem"), ("key", "gateway-client.key")] {
            writeln!(text, "{key} = {}", path(file))?;
        }
        for (key, value) in &self.broker {
            writeln!(text, "{key} = {value}")?;
        }
        writeln!(text, "\n[[routes]]\nbroker = {BROKER:?}")?;
        Ok(text)
    }
}
