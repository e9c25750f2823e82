//! A message: one fixed set of bytes for a broker, as it is committed.

use bytes::Bytes;

use super::delivery::MessageKind;
use super::ids::MessageId;

/// A message: one fixed set of bytes.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id, sent as `Idempotency-Key`.
    pub message_id: MessageId,
    /// What it asks.
    pub kind: MessageKind,
    /// Content type.
    pub content_type: String,
    /// The exact bytes.
    pub body: Bytes,
    /// SHA-256 of the bytes.
    pub body_hash: [u8; 32],
    /// Name of the mapping.
    pub mapping: String,
    /// Version of the mapping (declared + content hash).
    pub mapping_version: String,
    /// Our local reference number in it.
    pub lrn: String,
    /// The rates that its amounts were converted by, as JSON; `None` when none were.
    pub conversions: Option<String>,
}
