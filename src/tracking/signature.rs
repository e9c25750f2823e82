//! Signing by the Standard Webhooks scheme (version 1.0.0), symmetric: HMAC-SHA256 over
//! `id.timestamp.payload`, in `webhook-signature: v1,<base64>`.
//!
//! The id is the event's: it stays the same over retries, so that a receiver can drop repeats. The
//! timestamp is that of the try, so that a receiver may refuse old ones. A secret is shown once,
//! when it is made; it never reaches a log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::masked::Masked;
use crate::domain::time::Timestamp;
use crate::net::random::{self, NoRandomness};

/// What a secret begins with when it is shown.
pub const SECRET_PREFIX: &str = "whsec_";
/// Random bytes of a new secret (the scheme allows 24 to 64).
pub const SECRET_BYTES: usize = 32;

/// A new secret from the provider's randomness.
///
/// # Errors
/// [`NoRandomness`]: no secret, no subscription.
pub fn new_secret() -> Result<Masked<Vec<u8>>, NoRandomness> {
    let mut bytes = vec![0; SECRET_BYTES];
    random::fill(&mut bytes)?;
    Ok(Masked::new(bytes))
}

/// The secret as its owner is shown it, once.
pub fn shown_secret(secret: &Masked<Vec<u8>>) -> Masked<String> {
    Masked::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(secret.expose())))
}

/// The value of `webhook-signature`.
pub fn sign(secret: &Masked<Vec<u8>>, id: &str, timestamp_s: i64, payload: &[u8]) -> String {
    // HMAC takes a key of any length (RFC 2104), so the empty default is out of reach.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else { return String::new() };
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(timestamp_s.to_string().as_bytes());
    mac.update(b".");
    mac.update(payload);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The headers of one try.
pub fn headers(secret: &Masked<Vec<u8>>, id: &str, at: Timestamp, payload: &[u8]) -> Vec<(&'static str, String)> {
    let timestamp_s = at.as_second();
    vec![
        ("content-type", "application/cloudevents+json; charset=utf-8".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp_s.to_string()),
        ("webhook-signature", sign(secret, id, timestamp_s, payload)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_comes_out() {
        let secret = Masked::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64"));
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let secret = Masked::new(STANDARD.decode("C2FVsBQIhrscChlQIMV+b5sSYspob7oD").expect("base64"));
        let payload = br#"{"email":"test@example.com","username":"test_user"}"#;
        let signature = sign(&secret, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, payload);
        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn secrets_are_new_each_time_and_never_printed() {
        let (a, b) = (new_secret().expect("randomness"), new_secret().expect("randomness"));
        assert!(a != b && a.expose().len() == SECRET_BYTES && a.expose().iter().any(|byte| *byte != 0));
        let shown = shown_secret(&a);
        assert!(shown.expose().starts_with(SECRET_PREFIX) && shown.expose().len() == 50);
        assert_eq!(format!("{a:?} {shown:?}"), "*** ***");
    }

    /// The published library is the judge: it takes what we sign and refuses it with one bit flipped.
    #[test]
    fn the_published_library_verifies_what_we_sign() {
        let secret = new_secret().expect("randomness");
        let judge = standardwebhooks::Webhook::new(shown_secret(&secret).expose()).expect("secret");
        let payload = r#"{"type":"clearance.released","subject":"EE123456785KR","data":{"text":"Zürich 통관"}}"#;
        let now = crate::domain::time::Clock::now(&crate::domain::time::SystemClock);
        let headers: reqwest::header::HeaderMap = headers(&secret, "0198b1c4-0000-7000-8000-000000000001", now, payload.as_bytes())
            .into_iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().expect("value")))
            .collect();
        judge.verify(payload.as_bytes(), &headers).expect("verifies");
        for byte in 0..payload.len() {
            let mut flipped = payload.as_bytes().to_vec();
            flipped[byte] ^= 1;
            assert!(judge.verify(&flipped, &headers).is_err(), "byte {byte}");
        }
        for name in ["webhook-id", "webhook-timestamp"] {
            let mut changed = headers.clone();
            changed.insert(name, "1".parse().expect("value"));
            assert!(judge.verify(payload.as_bytes(), &changed).is_err(), "{name}");
        }
    }
}
