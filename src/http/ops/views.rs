//! The answers of the operators' routes.
//!
//! Lists are objects with one member that holds the rows, so that something can be added beside it later. No row holds
//! free text of a broker or a value of a declaration beyond the ids that an operator needs to find it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::MappingState;
use crate::domain::delivery::DeliveryState;
use crate::domain::time::{Timestamp, rfc3339};
use crate::store::{BacklogRow, DeadLetter, KeptMapping, ParkedNotice};

use super::source::{Lane, LoadedMapping};

/// `GET /health/live`, `GET /health/ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `live` or `ready`.
    pub status: &'static str,
}

/// `GET /v1/brokers`.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrokerList {
    /// Every configured broker, by name.
    pub brokers: Vec<BrokerView>,
}

/// A broker: what its lane does, why, and what waits for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrokerView {
    /// Its name.
    pub name: String,
    /// Its mapping.
    pub mapping: String,
    /// Version of the mapping that serves; null when none does.
    pub mapping_version: Option<String>,
    /// `loaded`, `stored` (its files cannot be used, a stored version serves) or `broken`.
    pub mapping_state: &'static str,
    /// Whether messages can be made for it; when not, declarations for it are answered 503.
    pub usable: bool,
    /// Why it is not: its mapping, its settings for it, its schemas or the rate table.
    pub faults: Vec<BrokerFaultView>,
    /// `running`, `paused`, `breaker_open`, `disabled`, `held` or `stopping`.
    pub state: &'static str,
    /// Why it does not run.
    pub reason: Option<String>,
    /// Since when it is in this state.
    pub since: Option<String>,
    /// `closed`, `half_open` or `open`.
    pub breaker: &'static str,
    /// Messages on the wire.
    pub in_flight: u64,
    /// Messages by state, those that are none left out.
    pub backlog: Vec<BacklogView>,
    /// Age of the oldest message that is due (queued, sending or in doubt), in seconds; 0 when none is.
    pub oldest_age_seconds: u64,
}

/// Why no message can be made for a broker.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BrokerFaultView {
    /// The broker.
    pub broker: String,
    /// Key of the configuration.
    pub key: String,
    /// What is wrong; never a value.
    pub detail: String,
}

impl BrokerFaultView {
    /// All of a lane's broker.
    pub fn of(lane: &Lane) -> Vec<Self> {
        let view = |(key, detail): &(String, String)| Self { broker: lane.broker.clone(), key: key.clone(), detail: detail.clone() };
        lane.faults.iter().map(view).collect()
    }
}

/// Messages of one state.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacklogView {
    /// `waiting`, `queued`, `sending`, `in_doubt` or `dead`.
    pub state: &'static str,
    /// Messages.
    pub messages: u64,
    /// When the oldest of them was made.
    pub oldest_at: Option<String>,
    /// Its age in seconds.
    pub oldest_age_seconds: u64,
}

/// States that are backlog: neither delivered nor withdrawn.
pub const BACKLOG_STATES: &[DeliveryState] =
    &[DeliveryState::Waiting, DeliveryState::Queued, DeliveryState::Sending, DeliveryState::InDoubt, DeliveryState::Dead];

/// Whether a message of this state ought to move by itself: what `waiting` waits for is not ours to hurry, and a dead
/// one waits for a person.
pub fn is_due(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Queued | DeliveryState::Sending | DeliveryState::InDoubt)
}

/// Whole seconds since an instant.
pub fn age_seconds(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - at.as_second()).unwrap_or(0)
}

/// Age of the oldest message that is due.
pub fn oldest_due_age<'a>(rows: impl Iterator<Item = &'a BacklogRow>, now: Timestamp) -> u64 {
    let due = rows.filter(|row| is_due(row.state) && row.count > 0);
    due.filter_map(|row| row.oldest_at).min().map_or(0, |oldest| age_seconds(oldest, now))
}

impl BrokerView {
    /// A broker from its parts.
    pub fn new(lane: &Lane, mapping: &str, mappings: &[LoadedMapping], backlog: &[BacklogRow], now: Timestamp) -> Self {
        let serving = mappings.iter().find(|listed| listed.name == mapping);
        let own = || backlog.iter().filter(|row| row.broker == lane.broker);
        let shown = own().filter(|row| row.count > 0 && BACKLOG_STATES.contains(&row.state));
        let view = |row: &BacklogRow| BacklogView {
            state: row.state.as_str(),
            messages: row.count,
            oldest_at: row.oldest_at.map(rfc3339),
            oldest_age_seconds: row.oldest_at.map_or(0, |at| age_seconds(at, now)),
        };
        Self {
            name: lane.broker.clone(),
            mapping: mapping.to_owned(),
            mapping_version: serving.and_then(|listed| listed.version.clone()),
            mapping_state: serving.map_or(MappingState::Broken, |listed| listed.state).as_str(),
            usable: lane.faults.is_empty(),
            faults: BrokerFaultView::of(lane),
            state: lane.state.as_str(),
            reason: lane.reason.clone(),
            since: lane.since.map(rfc3339),
            breaker: lane.breaker.as_str(),
            in_flight: lane.in_flight,
            backlog: shown.map(view).collect(),
            oldest_age_seconds: oldest_due_age(own(), now),
        }
    }
}

/// `GET /v1/dead-letters`.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterList {
    /// Newest first.
    pub dead_letters: Vec<DeadLetterView>,
}

/// A message that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterView {
    /// Message.
    pub message_id: String,
    /// Broker.
    pub broker: String,
    /// Post.
    pub post: String,
    /// Declaration.
    pub declaration_id: String,
    /// S10 id of the item.
    pub item_id: String,
    /// `declaration`, `amendment`, `cancellation`, `presentation`, `answer` or `query`.
    pub kind: &'static str,
    /// Mapping that made it.
    pub mapping: String,
    /// Version of the mapping.
    pub mapping_version: String,
    /// `refused`, `exhausted` or `unresolved`.
    pub reason: &'static str,
    /// Since when.
    pub since: String,
    /// For how long, in seconds.
    pub age_seconds: u64,
    /// Attempts spent.
    pub attempts: u32,
    /// Last HTTP status.
    pub last_status: Option<u16>,
    /// Last outcome, in our word.
    pub last_outcome: Option<String>,
}

impl DeadLetterView {
    /// As it stands at a moment.
    pub fn new(letter: DeadLetter, now: Timestamp) -> Self {
        Self {
            message_id: letter.message_id.to_string(),
            broker: letter.broker,
            post: letter.post,
            declaration_id: letter.declaration_id.to_string(),
            item_id: letter.item_id,
            kind: letter.kind.as_str(),
            mapping: letter.mapping,
            mapping_version: letter.mapping_version,
            reason: letter.reason.as_str(),
            since: rfc3339(letter.since),
            age_seconds: age_seconds(letter.since, now),
            attempts: letter.attempts,
            last_status: letter.last_status,
            last_outcome: letter.last_outcome,
        }
    }
}

/// `GET /v1/notices`.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeList {
    /// Newest first.
    pub notices: Vec<NoticeView>,
}

/// A notice that is stored and waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeView {
    /// Its id.
    pub notice_id: String,
    /// Broker.
    pub broker: String,
    /// `unreadable`, `orphan` or `unknown_code`.
    pub state: String,
    /// Reason code.
    pub reason: Option<String>,
    /// Version of the mapping that read it, or could not.
    pub mapping_version: Option<String>,
    /// When it came.
    pub received_at: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
}

impl From<ParkedNotice> for NoticeView {
    fn from(notice: ParkedNotice) -> Self {
        Self {
            notice_id: notice.notice_id.to_string(),
            broker: notice.broker,
            state: notice.state,
            reason: notice.reason,
            mapping_version: notice.mapping_version,
            received_at: notice.received_at,
            size: notice.size,
            sha256: notice.sha256,
        }
    }
}

/// `GET /v1/mappings`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MappingList {
    /// By name.
    pub mappings: Vec<MappingView>,
}

/// A mapping that ought to be there: it has a folder, or a broker names it.
#[derive(Debug, Serialize, ToSchema)]
pub struct MappingView {
    /// Name of its folder.
    pub name: String,
    /// Title; null when nothing serves.
    pub title: Option<String>,
    /// Declared version and hash of the files that serve; null when nothing does.
    pub version: Option<String>,
    /// `loaded`: from its files. `stored`: its files cannot be used, the newest good version in the store serves.
    /// `broken`: nothing serves, declarations for its brokers are answered 503.
    pub state: &'static str,
    /// What is wrong with its files, and with its stored version.
    pub faults: Vec<MappingFaultView>,
    /// Brokers that use it.
    pub brokers: Vec<String>,
    /// Why no message can be made for some of them, though the mapping may serve.
    pub broker_faults: Vec<BrokerFaultView>,
    /// Its newest versions in the store, the last that was taken into use first; null when the store does not answer.
    pub kept: Option<Vec<KeptView>>,
}

/// A fault of a mapping's files.
#[derive(Debug, Serialize, ToSchema)]
pub struct MappingFaultView {
    /// `file:line:column`; line 0 is the whole file.
    pub place: String,
    /// What is wrong.
    pub detail: String,
}

/// A version in the store.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptView {
    /// Declared version and hash of its files.
    pub version: String,
    /// When it was last taken into use.
    pub kept_at: String,
}

impl MappingView {
    /// A mapping with the brokers that use it and what the store keeps of it.
    pub fn new(mapping: LoadedMapping, brokers: Vec<String>, lanes: &[Lane], kept: Option<&[KeptMapping]>) -> Self {
        let using = lanes.iter().filter(|lane| brokers.contains(&lane.broker));
        let own = |kept: &[KeptMapping]| {
            let own = kept.iter().filter(|kept| kept.name == mapping.name);
            own.map(|kept| KeptView { version: kept.version.clone(), kept_at: rfc3339(kept.kept_at) }).collect()
        };
        Self {
            kept: kept.map(own),
            broker_faults: using.flat_map(BrokerFaultView::of).collect(),
            title: mapping.title,
            version: mapping.version,
            state: mapping.state.as_str(),
            faults: mapping.faults.into_iter().map(|(place, detail)| MappingFaultView { place, detail }).collect(),
            brokers,
            name: mapping.name,
        }
    }
}

/// `GET /v1/certificates`.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateList {
    /// Every configured certificate file, by name.
    pub certificates: Vec<CertificateView>,
}

/// A certificate file.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CertificateView {
    /// Its key in the configuration, for example `brokers.uk-broker.certificate`; the metric's label too.
    pub name: String,
    /// `valid`, `not_yet_valid`, `expired` or `unreadable`.
    pub state: &'static str,
    /// Why it cannot be read.
    pub fault: Option<String>,
    /// Its certificates, in the order of the file.
    pub certificates: Vec<CertificateFact>,
    /// When the file stops being of use: a chain with its first certificate to end, a bundle of CAs with its last.
    pub not_after: Option<String>,
    /// Whole days until then; negative once it has ended.
    pub days_left: Option<i64>,
}

/// One certificate of a file.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CertificateFact {
    /// Subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Subject alternative names.
    pub sans: Vec<String>,
    /// First moment of validity.
    pub not_before: String,
    /// Last moment of validity.
    pub not_after: String,
    /// SHA-256 of the DER, hex.
    pub sha256: String,
}
