//! Every certificate of the configuration with its end, for the metric, the alarm and `check`.

use std::path::Path;

use super::material::{MaterialFault, Part, certificates, not_after, parse};
use crate::config::Config;
use crate::domain::time::Timestamp;

/// One file of certificates and when the first of them to end does so.
#[derive(Debug, Clone)]
pub struct CertificateExpiry {
    /// Its key in the configuration, for example `brokers.uk-broker.certificate`.
    pub name: String,
    /// When it ends, or why it cannot be told.
    pub not_after: Result<Timestamp, MaterialFault>,
}

/// All certificates that the configuration names, ours and those we trust. Reads their files.
pub fn expiries(config: &Config) -> Vec<CertificateExpiry> {
    let (intake, callbacks, ops) = (&config.intake, &config.callbacks, &config.ops);
    let mut files = vec![
        ("intake.certificate".to_owned(), intake.certificate.as_ref(), Part::Certificate),
        ("intake.client_ca".to_owned(), intake.client_ca.as_ref(), Part::Ca),
        ("callbacks.certificate".to_owned(), Some(&callbacks.certificate), Part::Certificate),
        ("callbacks.client_ca".to_owned(), Some(&callbacks.client_ca), Part::Ca),
        ("ops.certificate".to_owned(), ops.certificate.as_ref(), Part::Certificate),
        ("ops.client_ca".to_owned(), ops.client_ca.as_ref(), Part::Ca),
    ];
    for (name, broker) in &config.brokers {
        files.push((format!("brokers.{name}.certificate"), Some(&broker.certificate), Part::Certificate));
        files.push((format!("brokers.{name}.ca"), Some(&broker.ca), Part::Ca));
    }
    files
        .into_iter()
        .filter_map(|(name, file, part)| Some(CertificateExpiry { name, not_after: first_end(file?.as_path(), part) }))
        .collect()
}

fn first_end(path: &Path, part: Part) -> Result<Timestamp, MaterialFault> {
    let mut first = Timestamp::MAX;
    for certificate in certificates(path, part)? {
        first = first.min(not_after(&parse(&certificate).map_err(|why| MaterialFault { part, why })?));
    }
    Ok(first)
}

/// Sets `preclear_certificate_expiry_timestamp_seconds{name}`; 0 when a file cannot be read, so that
/// an alarm on "ends soon" rings for it too.
pub fn record_expiries(expiries: &[CertificateExpiry]) {
    for expiry in expiries {
        #[allow(clippy::cast_precision_loss, reason = "seconds of this age are exact in a double")]
        let seconds = expiry.not_after.map_or(0.0, |at| at.as_second() as f64);
        metrics::gauge!("preclear_certificate_expiry_timestamp_seconds", "name" => expiry.name.clone()).set(seconds);
    }
}
