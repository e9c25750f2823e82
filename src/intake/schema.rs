//! A message against the broker's official schema, before it is committed.

use bytes::Bytes;

use crate::catalog::Channel;
use crate::domain::fault::{self, Fault};
use crate::error::{ApiError, Code};
use crate::mapping::Input;
use crate::mapping::schema::Violation;

/// What of a message its schema forbids, as faults of the declaration's fields; none where there is no schema.
/// The work is done on the schema's own threads.
///
/// # Errors
/// When there is no verdict: nothing is sent that nobody has looked at.
pub(super) async fn faults(channel: &Channel, template: &str, input: &Input<'_>, message: Bytes) -> Result<Vec<Fault>, ApiError> {
    let Some(schema) = channel.schemas.of(template) else { return Ok(Vec::new()) };
    let violations = schema.check(message).await.map_err(|no_verdict| {
        tracing::error!(mapping = channel.mapping.name, template, "{no_verdict}");
        ApiError::new(Code::MappingUnavailable).retry_after(30)
    })?;
    if violations.is_empty() {
        return Ok(Vec::new());
    }
    let offsets: Vec<usize> = violations.iter().map(|violation| violation.offset).collect();
    let places = channel.mapping.made_by_each(template, input, &offsets);
    let told = |(violation, place): (&Violation, Option<crate::mapping::MadeBy>)| {
        let (path, detail) = (violation.short_path(), &violation.detail);
        match place {
            Some(made) => {
                let detail = format!("{}:{}:{} {path}: {detail}", made.file, made.line, made.column);
                Fault::new(made.pointer.unwrap_or_default(), fault::MAPPING_SCHEMA, detail)
            }
            None => Fault::new("", fault::MAPPING_SCHEMA, format!("{}/{template}.xml {path}: {detail}", channel.mapping.name)),
        }
    };
    Ok(violations.iter().zip(places).map(told).collect())
}
