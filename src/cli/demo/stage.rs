//! Everything that the demo needs around it: a folder, certificates, a broker, a sink, and the gateway itself.
//!
//! Why it exists: "no set-up" means that the set-up is made here, in the way an operator would make it: certificate files, a
//! configuration file, a database file. The gateway is started from that configuration as `preclear serve` would start it.
//!
//! Invariants: listeners on the loopback and free ports only; a folder that the demo made is removed at the end, one that was
//! named is kept and has to be empty before.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::script::{Expected, Item, POSTS};
use crate::app;
use crate::cli::sink::Sink;
use crate::config;
use crate::domain::time::{SharedClock, SystemClock};
use crate::pki::{self, BrokerIdentity, FolderOptions};
use crate::sandbox::{CallbackOptions, Sandbox, SandboxOptions, TlsMaterial};

/// The broker of the demo.
pub(super) const BROKER: &str = "uk-broker";
/// The root of the broker's official schema, below a folder that is laid out as the mappings' names are.
const SCHEMA: &str = "hmrc-cds/customs/wrapper_submit.xsd";
/// How long the broker thinks before each notice, and how slow its slow answer is.
const NOTICE_DELAY: Duration = Duration::from_millis(60);
const SLOW_ANSWER: Duration = Duration::from_millis(1500);

/// The folder of a demo.
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// The named folder, which has to be empty or absent, or a new one among the temporary files.
    ///
    /// # Errors
    /// In words for the person.
    pub(super) fn open(named: Option<&Path>) -> Result<Self, String> {
        let (path, temporary) = match named {
            Some(path) => (path.to_owned(), false),
            None => (std::env::temp_dir().join(format!("preclear-demo-{:016x}", fastrand::u64(..))), true),
        };
        let fault = |fault: std::io::Error| format!("{}: {}", path.display(), fault.kind());
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(!temporary).create(&path).map_err(fault)?;
        if !temporary && std::fs::read_dir(&path).map_err(fault)?.next().is_some() {
            return Err(format!("{}: is not empty; name a new folder, or none for a temporary one", path.display()));
        }
        // The configuration names files by their full path, so that it works from any folder.
        let path = path.canonicalize().map_err(fault)?;
        Ok(Self { path, temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the folder although it was to be temporary.
    pub(super) fn keep(&mut self) {
        self.temporary = false;
    }

    /// Whether it is there after the end.
    pub(super) fn stays(&self) -> bool {
        !self.temporary
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to the system's own cleaning of temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// What the person may choose.
pub(super) struct Choices<'a> {
    pub mappings: Option<&'a Path>,
    pub schemas: Option<&'a Path>,
}

/// The running parts.
pub(super) struct Stage {
    pub sandbox: Sandbox,
    pub sink: Sink,
    pub gateway: app::Running,
}

impl Stage {
    /// Starts broker, sink and gateway in `folder`.
    ///
    /// # Errors
    /// In words for the person.
    pub(super) async fn start(folder: &Path, items: &[Item], choices: &Choices<'_>) -> Result<Self, String> {
        let clock: SharedClock = Arc::new(SystemClock);
        let certs = folder.join("certs");
        let broker = BrokerIdentity::parse(BROKER).map_err(|fault| fault.to_string())?;
        let options = FolderOptions { brokers: vec![broker], ..FolderOptions::default() };
        pki::issue_into(&certs, &options, clock.now()).map_err(|fault| fault.to_string())?;

        let sandbox = Sandbox::start(broker_options(&certs, items, choices.schemas)?).await.map_err(|fault| fault.to_string())?;
        let sink = Sink::start(clock.clone()).await.map_err(|fault| format!("the tracking sink: {}", fault.kind()))?;

        let text = config_text(folder, &sandbox.url(), choices.mappings);
        std::fs::write(folder.join("preclear.toml"), &text).map_err(|fault| format!("preclear.toml: {}", fault.kind()))?;
        let told = |faults: Vec<config::ConfigFault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let config = config::load_text(&text, std::iter::empty()).map_err(told)?;
        let gateway = app::start(config, clock).await.map_err(|fault| format!("the gateway cannot start: {fault}"))?;
        let voice = CallbackOptions::new(&gateway.addresses().callbacks, BROKER, tls(&certs, "uk-broker-client")?);
        sandbox.call_back_to(&voice).map_err(|fault| fault.to_string())?;
        Ok(Self { sandbox, sink, gateway })
    }

    /// Ends everything. The broker goes first: its kept connections would have the gateway's listener wait for their end.
    pub(super) async fn stop(self) {
        self.sandbox.stop().await;
        self.gateway.stop().await;
    }
}

fn tls(certs: &Path, name: &str) -> Result<TlsMaterial, String> {
    let read = |file: String| std::fs::read_to_string(certs.join(&file)).map_err(|fault| format!("{file}: {}", fault.kind()));
    Ok(TlsMaterial {
        certificate_pem: read(format!("{name}.pem"))?,
        key_pem: read(format!("{name}.key"))?,
        ca_pem: read("ca.pem".to_owned())?,
    })
}

fn broker_options(certs: &Path, items: &[Item], schemas: Option<&Path>) -> Result<SandboxOptions, String> {
    let mut options = SandboxOptions::new(tls(certs, "broker")?);
    options.delay = NOTICE_DELAY;
    options.slow = SLOW_ANSWER;
    options.schema = schemas.map(|folder| folder.join(SCHEMA));
    // Each message holds its item's number in its reference.
    options.rules = items
        .iter()
        .filter_map(|item| match &item.expected {
            Expected::Ends { scenario, .. } => Some((item.item_id.clone(), *scenario)),
            Expected::Refused(_) => None,
        })
        .collect();
    Ok(options)
}

/// The configuration, as an operator would write it.
fn config_text(folder: &Path, broker_url: &str, mappings: Option<&Path>) -> String {
    let quote = |text: &str| toml::Value::from(text).to_string();
    let path = |name: &str| quote(&folder.join(name).display().to_string());
    let mut text = format!(
        "# Made by `preclear demo`.\n\
         [intake]\nlisten = \"127.0.0.1:0\"\n\n\
         [callbacks]\nlisten = \"127.0.0.1:0\"\ncertificate = {}\nkey = {}\nclient_ca = {}\n\n\
         [ops]\nlisten = \"127.0.0.1:0\"\n\n\
         [store]\nurl = {}\nmin_free_mb = 16\n\n\
         [webhooks]\ndangerous_allow = [\"127.0.0.1\"]\n\n",
        path("certs/gateway.pem"),
        path("certs/gateway.key"),
        path("certs/ca.pem"),
        quote(&format!("sqlite:{}", folder.join("preclear.db").display())),
    );
    if let Some(dir) = mappings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[mappings]\ndir = {}\n", quote(&dir.display().to_string()));
    }
    for post in POSTS {
        let hash = Sha256::digest(post.key).iter().fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
        let _ = writeln!(
            text,
            "[posts.{}]\nname = {}\napi_keys = [\"sha256:{hash}\"]\nitem_countries = [\"{}\"]\n",
            post.code,
            quote(post.name),
            post.country
        );
    }
    let _ = write!(
        text,
        "[brokers.{BROKER}]\nmapping = \"hmrc-cds\"\nurl = {}\nca = {}\ncertificate = {}\nkey = {}\n\
         callback_identities = [\"{BROKER}.example\"]\n\
         rate = {{ per_second = 200, burst = 50 }}\nmax_in_flight = 16\ntimeout_s = 10\nidempotent = true\n\
         retry = {{ first_ms = 150, max_ms = 600, give_up_after_s = 3600 }}\n\
         breaker = {{ failure_share = 0.5, min_calls = 10, window_s = 30, open_ms = 500 }}\n\n\
         [brokers.{BROKER}.settings]\ndeclarant_eori = \"GB123456789000\"\nni_declarant_eori = \"XI123456789000\"\n\n\
         [[routes]]\nwhen = \"recipient.country == 'GB'\"\nbroker = \"{BROKER}\"\n",
        quote(broker_url),
        path("certs/ca.pem"),
        path("certs/gateway-client.pem"),
        path("certs/gateway-client.key"),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_whatever_the_folder_is_called() {
        for folder in ["/tmp/demo", "/tmp/with \"quotes\" and 'more' \\ é"] {
            let text = config_text(Path::new(folder), "https://localhost:9443/declarations", Some(Path::new("my mappings")));
            let config = config::load_text(&text, std::iter::empty()).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
            assert_eq!(config.posts.len(), POSTS.len());
            assert_eq!(config.callbacks.key.as_path(), Path::new(folder).join("certs/gateway.key"));
            assert_eq!(config.mappings.dir.as_ref().map(config::FilePath::as_path), Some(Path::new("my mappings")));
        }
        let example = include_str!("../../../examples/preclear.toml");
        for post in POSTS {
            let hash = Sha256::digest(post.key).iter().fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
            assert!(example.contains(&hash), "{}: the example configuration takes the demo's key too", post.code);
        }
    }

    #[test]
    fn a_named_folder_has_to_be_empty_and_stays() {
        let named = std::env::temp_dir().join(format!("preclear-demo-test-{:016x}", fastrand::u64(..)));
        drop(Folder::open(Some(&named)).expect("it is made"));
        assert!(named.is_dir());
        std::fs::write(named.join("x"), "").expect("written");
        assert!(Folder::open(Some(&named)).is_err());
        std::fs::remove_dir_all(&named).expect("removed");
        let temporary = Folder::open(None).expect("it is made").path().to_owned();
        assert!(!temporary.exists(), "a temporary one goes with its value");
    }
}
