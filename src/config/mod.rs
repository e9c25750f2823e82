//! The configuration: typed, read once, all faults at once.
//!
//! A TOML file, overlaid by the environment (`PRECLEAR__SECTION__KEY`), read by the same records as
//! a declaration: unknown keys, wrong types and missing keys are all told in one go, each with its
//! dotted path and never with its value. File paths are relative to the working directory.
//! What needs a file, a mapping or the network to be judged is judged by `preclear check`.

mod auth;
mod fields;
mod load;

use std::collections::BTreeMap;

pub use auth::{Auth, AuthKind, ClientAuth, How, SecretPlace};
pub use fields::{FilePath, HttpUrl, KeyHash, Listen, Settings, Share};
pub use load::{ConfigFault, is_told, load, load_text, read};

use crate::domain::fact::Track;
use crate::domain::text::{Private, Text};
use crate::{choice, record};

choice! {
    /// What to do with a rule that policy may soften.
    pub enum Strictness {
        /// A fault.
        Reject = "reject",
        /// A warning.
        Warn = "warn",
    }
}

record! {
    /// Where posts hand over declarations.
    pub struct Intake {
        /// Address of the listener; port 0 takes a free one.
        listen: Listen = Listen::loopback(8080),
        /// Server certificate chain (PEM); with `key`, the listener speaks TLS.
        certificate: Option<FilePath>,
        /// Its private key (PEM).
        key: Option<FilePath>,
        /// CA of client certificates that identify posts (PEM).
        client_ca: Option<FilePath>,
        /// Largest declaration or batch line in bytes.
        max_body_bytes: u64 = 1_048_576,
        /// Longest time for a body to arrive, in seconds.
        body_timeout_s: u64 = 30,
        /// Requests that may wait for the commit; above it 503.
        max_waiting: u64 = 4096,
        /// What a wrong S10 check digit is.
        s10_check_digit: Strictness = Strictness::Reject,
        /// Days within which an S10 id under another posting date is the same item (UPU S10: 12 months).
        reuse_after_days: u64 = 365,
        /// Most lines of contents.
        max_lines: u64 = 999,
        /// Largest gross weight of an item in grams.
        max_gross_weight_g: u64 = 31_500,
    }
}
record! {
    /// Where brokers call back: mutual TLS, always.
    pub struct Callbacks {
        /// Address of the listener.
        listen: Listen = Listen::loopback(8443),
        /// Server certificate chain (PEM).
        certificate: FilePath,
        /// Its private key (PEM).
        key: FilePath,
        /// CA of the brokers' client certificates (PEM).
        client_ca: FilePath,
        /// Certificate revocation list (PEM); an expired or unreadable one refuses everybody.
        crl: Option<FilePath>,
        /// Largest notice in bytes.
        max_body_bytes: u64 = 4_194_304,
        /// Longest time for a body to arrive, in seconds.
        body_timeout_s: u64 = 30,
    }
}
record! {
    /// Where operators look and act.
    pub struct Ops {
        /// Address of the listener; off loopback a token or client CA is demanded.
        listen: Listen = Listen::loopback(9090),
        /// Bearer token.
        token: Option<Private<512>>,
        /// Server certificate chain (PEM).
        certificate: Option<FilePath>,
        /// Its private key (PEM).
        key: Option<FilePath>,
        /// CA of the operators' client certificates (PEM).
        client_ca: Option<FilePath>,
    }
}
record! {
    /// Where everything is kept.
    pub struct StoreConfig {
        /// `sqlite:FILE`.
        url: Text<1024> = Text::constant("sqlite:preclear.db"),
        /// Free space in MiB below which nothing new is taken (503).
        min_free_mb: u64 = 512,
    }
}
record! {
    /// How long things are kept.
    pub struct Retention {
        /// Days for personal data.
        personal_days: u64 = 365,
        /// Days for evidence (hashes, attempts).
        evidence_days: u64 = 1095,
        /// Days for events.
        events_days: u64 = 90,
    }
}
record! {
    /// Several nodes on one database.
    pub struct Cluster {
        /// Seconds that a silent node keeps its lanes.
        lease_s: u64 = 4,
    }
}
record! {
    /// Where mappings come from.
    pub struct Mappings {
        /// Folder; without it `mappings`, else the embedded set.
        dir: Option<FilePath>,
        /// Dated rate table for mappings that convert amounts (CSV); read together with them.
        rates: Option<FilePath>,
    }
}
record! {
    /// Webhooks to posts.
    pub struct Webhooks {
        /// Host names or networks that may be private, loopback or plain http.
        dangerous_allow: Vec<Text<255>>,
        /// Ask for proof of ownership before the first delivery.
        handshake: bool = false,
    }
}
record! {
    /// A postal operator: a tenant.
    pub struct Post {
        /// Its name.
        name: Text<70>,
        /// `sha256:` + hex SHA-256 of each API key.
        api_keys: Vec<KeyHash>,
        /// SANs of client certificates that identify it.
        client_identities: Vec<Text<255>>,
        /// Issuing countries of the S10 ids that it may declare; `*` for all.
        item_countries: Vec<Text<2>>,
        /// Brokers that it may ask for; absent: all.
        brokers: Option<Vec<Text<64>>>,
        /// UPU retention reason code of each of our words (`inspection`, `documents_missing`, `duty_unpaid`, `other`).
        retention_reasons: BTreeMap<String, Text<10>>,
    }
}
record! {
    /// Permits: at most `per_second` in the long run, `burst` at once.
    pub struct Rate {
        /// Permits per second.
        per_second: u64,
        /// Permits at once.
        burst: u64 = 1,
    }
}
record! {
    /// When to try again, and when to give up.
    pub struct Retry {
        /// First delay in milliseconds.
        first_ms: u64 = 1_000,
        /// Longest delay in milliseconds.
        max_ms: u64 = 300_000,
        /// Give-up time in seconds, from the first spent attempt.
        give_up_after_s: u64 = 172_800,
    }
}
record! {
    /// When a broker is left alone for a while.
    pub struct Breaker {
        /// Share of failed calls that opens it.
        failure_share: Share = Share::new(0.5),
        /// Calls in the window before it judges.
        min_calls: u64 = 10,
        /// Window in seconds.
        window_s: u64 = 30,
        /// Time in milliseconds that it stays open before a probe.
        open_ms: u64 = 5_000,
    }
}
record! {
    /// Polling for answers.
    pub struct Poll {
        /// Seconds between polls.
        every_s: u64 = 60,
    }
}
record! {
    /// Addresses that differ from `url`.
    pub struct Urls {
        /// For amendments.
        amendment: Option<HttpUrl>,
        /// For cancellations.
        cancellation: Option<HttpUrl>,
        /// For presentations.
        presentation: Option<HttpUrl>,
        /// For status queries.
        query: Option<HttpUrl>,
        /// For polls.
        poll: Option<HttpUrl>,
    }
}
record! {
    /// Settings that are in force for some declarations only.
    pub struct Override {
        /// Condition like that of a route; of those that hold, the first that names a setting decides it.
        when: Text<1024>,
        /// The settings when it holds.
        settings: Settings,
    }
}
record! {
    /// A broker: a mapping, an endpoint, credentials and limits.
    pub struct Broker {
        /// Name of the mapping.
        mapping: Text<64>,
        /// Where messages go.
        url: HttpUrl,
        /// Where other kinds of messages go.
        urls: Urls = Urls::default(),
        /// Polling.
        poll: Option<Poll>,
        /// CA of the broker's server certificate (PEM); absent: whom this machine trusts.
        ca: Option<FilePath>,
        /// Our client certificate chain (PEM); may be left out, with `key`, only where `auth` is not `none`.
        certificate: Option<FilePath>,
        /// Its private key (PEM).
        key: Option<FilePath>,
        /// Another proof of who we are, beside the client certificate or instead of it.
        auth: Option<Auth>,
        /// DNS or URI SANs of the broker's client certificate.
        callback_identities: Vec<Text<255>>,
        /// Its rate limit.
        rate: Rate,
        /// Most messages on the wire at once.
        max_in_flight: u64 = 16,
        /// Longest time for an answer, in seconds.
        timeout_s: u64 = 10,
        /// Seconds within which an answer of customs is expected, else `clearance.overdue`.
        answer_within_s: u64 = 86_400,
        /// The broker drops repeats of one message id.
        idempotent: bool = false,
        /// Retries.
        retry: Retry = Retry::default(),
        /// Circuit breaker.
        breaker: Breaker = Breaker::default(),
        /// Folder with a copy of the official schema.
        schema: Option<FilePath>,
        /// What the mapping asks for.
        settings: Settings,
        /// Other settings for some declarations: per post, destination, or anything that a route sees.
        overrides: Vec<Override>,
        /// Rows that replace or add to a code list of the mapping: a table for each list, `KEY = "value"`.
        codes: BTreeMap<String, Settings>,
    }
}
record! {
    /// A routing rule: the first match of each track chooses the broker.
    pub struct Route {
        /// Track.
        track: Track = Track::Clearance,
        /// Condition in the mappings' expression language; also sees `post`. Absent: always.
        when: Option<Text<1024>>,
        /// The broker.
        broker: Text<64>,
    }
}
record! {
    /// The whole configuration.
    pub struct Config {
        /// Listener for posts.
        intake: Intake = Intake::default(),
        /// Listener for brokers.
        callbacks: Callbacks,
        /// Listener for operators.
        ops: Ops = Ops::default(),
        /// The store.
        store: StoreConfig = StoreConfig::default(),
        /// Retention.
        retention: Retention = Retention::default(),
        /// Several nodes.
        cluster: Cluster = Cluster::default(),
        /// Mappings.
        mappings: Mappings = Mappings::default(),
        /// Webhooks.
        webhooks: Webhooks = Webhooks::default(),
        /// Posts by their code.
        posts: BTreeMap<String, Post>,
        /// Brokers by their name.
        brokers: BTreeMap<String, Broker>,
        /// Routing rules in order.
        routes: Vec<Route>,
    }
}
