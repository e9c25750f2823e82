//! Random bytes for secrets, from the provider of cryptography that TLS uses (seeded by the OS).

use rustls::crypto::SecureRandom;

/// The provider has no randomness to give: nothing that needs a secret may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no randomness")]
pub struct NoRandomness;

/// Fills a buffer with random bytes fit for keys.
///
/// # Errors
/// [`NoRandomness`].
pub fn fill(buffer: &mut [u8]) -> Result<(), NoRandomness> {
    let random: &dyn SecureRandom = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(buffer).map_err(|_| NoRandomness)
}
