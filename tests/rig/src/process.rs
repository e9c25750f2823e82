//! The gateway's process: started, found by its addresses file, ended in every way, started again on the same store.

use crate::client::{Client, Place};
use anyhow::{Context, Result, bail};
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How a life of the process ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Signal; none after an exit.
    pub signal: Option<i32>,
    /// From the asking to the end.
    pub took: Duration,
}

/// A gateway with its folder.
pub struct Gateway {
    bin: PathBuf,
    dir: PathBuf,
    /// More environment of the next start.
    pub env: Vec<(String, String)>,
    /// Base of the intake listener.
    pub intake: Place,
    /// Base of the callback listener.
    pub callbacks: Place,
    /// Base of the ops listener.
    pub ops: Place,
    child: Option<Child>,
    /// When a life was ended by force or died, in order: after these the gateway may not know what it had sent.
    pub deaths: Vec<Instant>,
    /// From the start of the newest life to its readiness.
    pub start_took: Duration,
}

impl Gateway {
    /// Not started yet.
    pub fn new(bin: PathBuf, dir: PathBuf) -> Gateway {
        let place = Place::default;
        Gateway {
            bin,
            dir,
            env: Vec::new(),
            intake: place(),
            callbacks: place(),
            ops: place(),
            child: None,
            deaths: Vec::new(),
            start_took: Duration::ZERO,
        }
    }

    /// Whether a life is going on, as far as we were told.
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Starts a process without waiting for anything.
    pub fn spawn(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("the gateway runs already");
        }
        std::fs::remove_file(self.dir.join("addresses.json")).ok();
        let log = |name: &str| OpenOptions::new().create(true).append(true).open(self.dir.join(name));
        let mut command = Command::new(&self.bin);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PRECLEAR") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(["serve", "--config", "preclear.toml", "--addresses", "addresses.json"])
            .current_dir(&self.dir)
            .env("RUST_LOG", "warn")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log("gateway.out")?)
            .stderr(log("gateway.err")?)
            .spawn()
            .with_context(|| format!("{} does not start", self.bin.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Starts and waits for readiness. An end before that is an error that names its kind.
    pub async fn start(&mut self) -> Result<()> {
        let began = Instant::now();
        self.spawn()?;
        self.wait_ready(began, Duration::from_secs(60)).await
    }

    /// Waits for the addresses and for `/health/ready` to be 200.
    pub async fn wait_ready(&mut self, began: Instant, limit: Duration) -> Result<()> {
        let ops = Client::plain(self.ops.clone(), None);
        while began.elapsed() < limit {
            if let Some(end) = self.ended()? {
                bail!("the gateway ended before it was ready: {end:?}; see {}/gateway.err", self.dir.display());
            }
            if self.read_addresses() && ops.get("/health/ready").await.is_ok_and(|answer| answer.status == 200) {
                self.start_took = began.elapsed();
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the gateway is not ready after {limit:?}; see {}/gateway.err", self.dir.display())
    }

    fn read_addresses(&self) -> bool {
        let Ok(text) = std::fs::read(self.dir.join("addresses.json")) else { return false };
        let Ok(addresses) = serde_json::from_slice::<serde_json::Value>(&text) else { return false };
        for (name, place) in [("intake", &self.intake), ("callbacks", &self.callbacks), ("ops", &self.ops)] {
            let Some(address) = addresses[name].as_str().and_then(|url| url.split("//").nth(1)) else { return false };
            *place.lock().unwrap_or_else(PoisonError::into_inner) = address.trim_end_matches('/').to_owned();
        }
        true
    }

    /// The process id of this life.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the gateway runs")?.id())
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(rustix::process::Pid::from_raw).context("a process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// SIGKILL to the recorded process id, and its end.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the gateway runs")?;
        child.kill()?;
        child.wait()?;
        self.deaths.push(Instant::now());
        Ok(())
    }

    /// SIGSTOP: nothing moves any more.
    pub fn freeze(&self) -> Result<()> {
        self.signal(rustix::process::Signal::STOP)
    }

    /// SIGTERM; returns at once.
    pub fn terminate(&self) -> Result<()> {
        self.signal(rustix::process::Signal::TERM)
    }

    /// Whether this life has ended by itself.
    pub fn ended(&mut self) -> Result<Option<End>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let Some(status) = child.try_wait()? else { return Ok(None) };
        self.child = None;
        if status.code() != Some(0) {
            self.deaths.push(Instant::now());
        }
        Ok(Some(End { code: status.code(), signal: status.signal(), took: Duration::ZERO }))
    }

    /// Waits for the end; none when it does not come in time.
    pub async fn wait_end(&mut self, limit: Duration) -> Result<Option<End>> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(end) = self.ended()? {
                return Ok(Some(End { took: began.elapsed(), ..end }));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(None)
    }

    /// The gentle end, which has to come with 0 within 25 seconds.
    pub async fn stop(&mut self) -> Result<End> {
        self.terminate()?;
        match self.wait_end(Duration::from_secs(25)).await? {
            Some(end) if end.code == Some(0) => Ok(end),
            end => bail!("SIGTERM ended with {end:?}"),
        }
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
