//! The other side of the gateway: posts, brokers, sinks and certificates, independent of its code.

pub mod broker;
pub mod caller;
pub mod folder;
pub mod gateway;
pub mod goods;
pub mod lists;
pub mod mappings;
pub mod metrics;
pub mod notice;
pub mod pki;
pub mod schema;
pub mod setup;
pub mod sink;
pub mod wire;

use std::time::{Duration, Instant};

/// Looks until something is there, at most `seconds` long; what was awaited is the message of the failure.
pub async fn until<T>(what: &str, seconds: u64, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not seen within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// SHA-256 as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
