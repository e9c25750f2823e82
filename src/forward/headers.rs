//! The headers of a message, beside those of its mapping.

use crate::domain::ids::ConversationId;
use crate::store::OutboxRow;

/// The mapping's headers, then ours: of two with one name ours counts.
pub(super) fn headers(row: &OutboxRow, of_mapping: &[(String, String)]) -> Vec<(String, String)> {
    let mut headers = of_mapping.to_vec();
    headers.push(("Idempotency-Key".to_owned(), row.message_id.to_string()));
    headers.push(("X-Conversation-Id".to_owned(), row.conversation_id.to_string()));
    headers.push(("traceparent".to_owned(), traceparent(row.traceparent.as_deref(), row.conversation_id, fastrand::u64(1..))));
    headers
}

/// A W3C trace parent: this try is a span of its own in the trace of the request behind the message.
/// Without one the conversation is the trace, not sampled.
fn traceparent(of_request: Option<&str>, conversation: ConversationId, span: u64) -> String {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = of_request.unwrap_or_default().split('-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(version), Some(trace), Some(_), Some(flags))
            if hex(version, 2) && hex(trace, 32) && hex(flags, 2) && trace.bytes().any(|byte| byte != b'0') =>
        {
            format!("00-{trace}-{span:016x}-{flags}")
        }
        _ => format!("00-{}-{span:016x}-00", conversation.0.simple()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_is_a_span_in_the_trace_of_its_request() {
        let conversation = ConversationId::parse("0190a8f0-0000-7000-8000-00000000000a").expect("a UUID");
        let own = "00-0190a8f000007000800000000000000a-0000000000000007-00";
        for (of_request, expected) in [
            (Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01"),
            (None, own),
            (Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), own),
            (Some("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"), own),
            (Some("x\r\ny"), own),
        ] {
            assert_eq!(traceparent(of_request, conversation, 7), expected);
        }
    }
}
