//! A lane with everything around it, and how its tests wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::broker::{Say, TestBroker};
use super::outbox::{Row, TestOutbox};
use crate::config::Broker;
use crate::domain::fact::{Fact, Reason};
use crate::domain::time::{SharedClock, SystemClock};
use crate::forward::{LaneState, LaneStatus, Lanes, Mappings, ReplyRules};
use crate::net::testing::{Leaf, Pki};

/// How the test's mapping reads: `<ok/>` is taken, `<refused/>` is not, all else is unreadable; whether it can ask.
pub(super) struct TestRules(pub(super) bool);

impl ReplyRules for TestRules {
    fn version(&self) -> &str {
        "1.0.0+0"
    }

    fn headers(&self) -> &[(String, String)] {
        static HEADERS: std::sync::LazyLock<Vec<(String, String)>> = std::sync::LazyLock::new(|| {
            vec![("Accept".to_owned(), "application/test".to_owned()), ("Idempotency-Key".to_owned(), "not ours".to_owned())]
        });
        &HEADERS
    }

    fn conversation_header(&self) -> Option<&str> {
        Some("X-Conversation-ID")
    }

    fn empty_reply_is_delivered(&self) -> bool {
        true
    }

    fn asks(&self) -> bool {
        self.0
    }

    fn read(&self, body: &[u8]) -> Option<Vec<Fact>> {
        let reasons = vec![Reason { code: Some("E1".to_owned()), ..Reason::default() }];
        match body {
            b"<ok/>" => Some(vec![Fact { job: Some("j-7".to_owned()), ..Fact::default() }]),
            b"<refused/>" => Some(vec![Fact { refused: true, reasons, mrn: Some("26GB1".to_owned()), ..Fact::default() }]),
            _ => None,
        }
    }
}

pub(super) struct TestMappings(bool);

impl Mappings for TestMappings {
    fn rules(&self, mapping: &str) -> Option<Arc<dyn ReplyRules>> {
        (mapping == "test").then(|| Arc::new(TestRules(self.0)) as Arc<dyn ReplyRules>)
    }
}

/// A lane, its outbox and its broker.
pub(super) struct Rig {
    pub(super) pki: Pki,
    pub(super) outbox: Arc<TestOutbox>,
    pub(super) broker: TestBroker,
    pub(super) config: BTreeMap<String, Broker>,
    pub(super) asks: bool,
}

impl Rig {
    pub(super) async fn new(settings: &str, script: Vec<Say>) -> Self {
        let pki = Pki::new();
        let client = pki.issue(Leaf::client("gateway"));
        let broker = TestBroker::start(&pki, pki.ca_file(), script).await;
        let mut settings = settings.to_owned();
        for usual in [
            "timeout_s = 5",
            "rate = { per_second = 5000, burst = 500 }",
            "retry = { first_ms = 1, max_ms = 5, give_up_after_s = 1000 }",
            "breaker = { failure_share = 0.9, min_calls = 100, window_s = 30, open_ms = 200 }",
        ] {
            if !settings.contains(usual.split('=').next().unwrap_or_default()) {
                settings = settings + "\n" + usual;
            }
        }
        let text = format!(
            r#"
            [callbacks]
            certificate = "a"
            key = "a"
            client_ca = "a"
            [posts.KRA]
            name = "Korea Post"
            client_identities = ["kr"]
            item_countries = ["KR"]
            [brokers.b]
            mapping = "test"
            url = "https://localhost:{}/declarations"
            ca = "{}"
            certificate = "{}"
            key = "{}"
            callback_identities = ["b"]
            {settings}
            [[routes]]
            broker = "b"
            "#,
            broker.address.port(),
            pki.ca_file().display(),
            client.certificate.display(),
            client.key.display(),
        );
        let config = crate::config::load_text(&text, std::iter::empty()).expect("a configuration");
        Self { pki, outbox: Arc::new(TestOutbox::new()), broker, config: config.brokers, asks: false }
    }

    pub(super) fn lanes(&self) -> Lanes {
        let clock: SharedClock = Arc::new(SystemClock);
        Lanes::start(&self.config, &self.outbox, &Arc::new(TestMappings(self.asks)), &clock)
    }

    /// One message through a lane, until it was tried and settled once.
    pub(super) async fn one(&self) -> (Row, Lanes) {
        let message = self.outbox.queue();
        let lanes = self.lanes();
        (self.outbox.tried(message, 1).await, lanes)
    }
}

/// Waits until the lane shows a state.
pub(super) async fn shows(lanes: &Lanes, state: LaneState, reason: Option<&str>) -> LaneStatus {
    let mut watch = lanes.watch("b").expect("a lane");
    let status = watch.wait_for(|status| status.state == state && status.reason.as_deref() == reason).await;
    status.expect("the lane lives").clone()
}

/// Runs a test with a limit that only a hanging one reaches.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("it hangs") });
    runtime.shutdown_background();
}
