//! The real binary as a child process: started, found by its addresses file, killed, ended, started again on the same store.

use super::broker::{Broker, Post, Reply, Turn};
use super::caller::{Answer, Caller, Listener, client_builder};
use super::notice::Notice;
use super::pki::Party;
use super::setup::{JAPAN_KEY, KOREA_KEY, Setup};
use super::until;
use reqwest::Method;
use std::fs::OpenOptions;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

/// What `--addresses` writes.
#[derive(Clone, Default, serde::Deserialize)]
pub struct Addresses {
    pub intake: String,
    pub callbacks: String,
    pub ops: String,
}

/// A gateway with its configuration.
pub struct Gateway {
    pub setup: Setup,
    /// Korea Post, the sender of most tests.
    pub korea: Caller,
    /// Another tenant.
    pub japan: Caller,
    /// The operator.
    pub ops: Caller,
    child: Option<Child>,
    addresses: Arc<Mutex<Addresses>>,
}

/// The binary with a clean environment.
fn program(setup: &Setup) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_preclear"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PRECLEAR") {
            command.env_remove(name);
        }
    }
    command.current_dir(setup.folder.path()).env("RUST_LOG", &setup.log).envs(setup.environment.iter().cloned()).stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end.
pub fn run(setup: &Setup, arguments: &[&str]) -> Output {
    setup.write();
    program(setup).args(arguments).output().expect("the binary runs")
}

impl Gateway {
    /// Starts and waits for its addresses.
    pub async fn start(setup: Setup) -> Gateway {
        let addresses = Arc::new(Mutex::new(Addresses::default()));
        let client = client_builder().build().unwrap();
        let caller = |listener, key: Option<&str>| Caller {
            client: client.clone(),
            listener,
            addresses: addresses.clone(),
            key: key.map(str::to_owned),
        };
        let mut gateway = Gateway {
            korea: caller(Listener::Intake, Some(KOREA_KEY)),
            japan: caller(Listener::Intake, Some(JAPAN_KEY)),
            ops: caller(Listener::Ops, None),
            setup,
            child: None,
            addresses: addresses.clone(),
        };
        gateway.launch().await;
        gateway
    }

    /// One broker `uk-broker` for everything, answering by script.
    pub async fn with_broker(test: &str, script: impl Fn(&Post, &Turn) -> Reply + Send + Sync + 'static) -> (Gateway, Broker) {
        let mut setup = Setup::new(test);
        let broker = Broker::start(&setup.pki, script).await;
        setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
        (Gateway::start(setup).await, broker)
    }

    /// The same with a broker that takes everything.
    pub async fn plain(test: &str) -> (Gateway, Broker) {
        Gateway::with_broker(test, |_, _| Reply::Accept).await
    }

    /// Starts the process, on the first or a later time, with the configuration as it is now.
    pub async fn launch(&mut self) {
        assert!(self.child.is_none(), "one process at a time");
        self.setup.write();
        let (addresses, config) = (self.setup.folder.file("addresses.json"), self.setup.config_path());
        std::fs::remove_file(&addresses).ok();
        let log = |name: &str| OpenOptions::new().create(true).append(true).open(self.setup.folder.file(name)).unwrap();
        let child = program(&self.setup)
            .arg("serve")
            .args([std::ffi::OsStr::new("--config"), config.as_os_str(), std::ffi::OsStr::new("--addresses"), addresses.as_os_str()])
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .expect("the binary starts");
        self.child = Some(child);
        let found: Addresses = until("the addresses file", 20, async || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            serde_json::from_slice(&std::fs::read(&addresses).ok()?).ok()
        })
        .await;
        *self.addresses.lock().unwrap() = found;
    }

    /// `kill -9`, at once.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running gateway");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The running process.
    pub fn process_id(&self) -> u32 {
        self.child.as_ref().expect("a running gateway").id()
    }

    /// Asks it to end, as an init system does.
    pub fn terminate(&self) {
        let id = self.process_id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for the end of the process.
    pub async fn wait_exit(&mut self, seconds: u64) -> ExitStatus {
        let child = self.child.as_mut().expect("a running gateway");
        let status = until("the end of the process", seconds, async || child.try_wait().unwrap()).await;
        self.child = None;
        status
    }

    /// Ends it the gentle way, so that all that was under way has been done.
    pub async fn stop(&mut self) {
        self.terminate();
        assert_eq!(self.wait_exit(25).await.code(), Some(0), "{}", self.log());
    }

    /// Everything that it wrote to its standard error and output, over all its lives.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read(self.setup.folder.file(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("stderr"), read("stdout")].concat()).into_owned()
    }

    /// The metrics page.
    pub async fn metrics(&self) -> String {
        self.ops.get("/metrics").await.expect(200).text()
    }

    /// A client of the callback listener with this certificate, or with none.
    pub fn caller_of(&self, party: Option<&Party>) -> Caller {
        let root = reqwest::Certificate::from_pem(self.setup.pki.ca.as_bytes()).unwrap();
        let mut builder = client_builder().tls_certs_only([root]);
        if let Some(party) = party {
            let pem = format!("{}{}", party.key, party.certificate);
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        Caller { client: builder.build().unwrap(), listener: Listener::Callbacks, addresses: self.addresses.clone(), key: None }
    }

    /// `uk-broker`, calling back.
    pub fn uk_broker(&self) -> Voice {
        self.voice("uk-broker")
    }

    /// A broker with its own certificate, calling back.
    pub fn voice(&self, broker: &str) -> Voice {
        Voice { caller: self.caller_of(Some(self.setup.identity(broker))), broker: broker.to_owned() }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A broker that speaks to the callback listener.
#[derive(Clone)]
pub struct Voice {
    pub caller: Caller,
    pub broker: String,
}

impl Voice {
    /// Sends any bytes as a notice.
    pub async fn say(&self, body: impl Into<Vec<u8>>) -> Answer {
        let path = format!("/v1/brokers/{}/notices", self.broker);
        let request = self.caller.request(Method::POST, &path);
        self.caller.finish(request.header("content-type", "application/xml; charset=UTF-8").body(body.into())).await
    }

    /// Sends a notice, which must be taken.
    pub async fn notify(&self, notice: &Notice) {
        self.say(notice.xml()).await.expect(202);
    }
}
