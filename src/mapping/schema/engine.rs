//! One compiled schema and the verdict on one message. Lives on one thread.

use std::sync::Arc;

use xsd_schema::parser::frames::ComplexContentResult;
use xsd_schema::validation::{DriveError, SchemaValidator, ValidationFlags, ValidationSink, ValidationWarning, drive_quick_xml};
use xsd_schema::xml::ParseLimits;
use xsd_schema::{InstanceValidationError, SchemaSet, SchemaSetBuilder};

use super::folder::{Folder, Loader};
use super::{NoVerdict, Violation, explain};

/// Compiles the schema with a root file.
///
/// # Errors
/// Everything that makes it unusable, with the file and line where it has them.
pub(super) fn compile(folder: &Arc<Folder>, root: &str) -> Result<SchemaSet, Vec<String>> {
    let failed = |error: &dyn std::fmt::Display| match folder.refused() {
        refused if refused.is_empty() => vec![Folder::plain(&error.to_string())],
        refused => refused,
    };
    let mut builder = SchemaSetBuilder::with_loader(Box::new(Loader(Arc::clone(folder))));
    builder.try_add(&Folder::location(root)).map_err(|error| failed(&error))?;
    let mut set = builder.compile().map_err(|error| failed(&error))?.into_schema_set();
    // A part that is missing is no error to the crate; such a schema would validate less than it says.
    if let Some(first) = set.directive_failures().first() {
        return Err(failed(first.error()));
    }
    compile_patterns(&mut set).map_err(|error| failed(&error))?;
    let validator = validator(&set);
    let unprepared: Vec<String> = validator.content_model_failures().iter().map(|(_, why)| format!("a content model: {why}")).collect();
    drop(validator);
    if unprepared.is_empty() { Ok(set) } else { Err(unprepared) }
}

/// The crate compiles the patterns of simple types once, but not those of simple content in complex types,
/// which is how WCO, UN/CEFACT and UBL schemas write theirs: each value would compile its pattern again.
fn compile_patterns(set: &mut SchemaSet) -> xsd_schema::FacetResult<()> {
    let (version, compatibility) = (set.xsd_version, set.regex_compatibility());
    let keys: Vec<_> = set.arenas.complex_types.keys().collect();
    let arenas = set.arenas.entries_mut();
    for key in keys {
        if let Some(ComplexContentResult::Simple(content)) = arenas.complex_types.get_mut(key).map(|definition| &mut definition.content) {
            content.facets.compile_patterns(version, compatibility)?;
        }
    }
    Ok(())
}

/// The validator of a set: costs about half a millisecond, so it is made once.
pub(super) fn validator(set: &SchemaSet) -> SchemaValidator<'_> {
    SchemaValidator::new(set, ValidationFlags::default() & !ValidationFlags::BUILD_PSVI_TYPED_VALUES)
}

/// What a document may be, so that no hostile one fills the set's table of names, which forgets nothing.
pub(super) fn limits() -> ParseLimits {
    let mut limits = ParseLimits::none();
    limits.max_depth = Some(128);
    limits.max_name_bytes = Some(256);
    limits.max_namespace_uri_bytes = Some(1024);
    limits.max_attributes = Some(256);
    limits.max_namespace_declarations = Some(64);
    limits.max_nodes = Some(2_000_000);
    limits
}

/// Counts; keeps nothing of what it is told, which repeats values.
struct Count(usize);

impl ValidationSink for Count {
    fn on_error(&mut self, _error: InstanceValidationError) {
        self.0 += 1;
    }

    fn on_warning(&mut self, _warning: ValidationWarning) {}
}

/// What a message breaks. The quick pass gives the verdict; only what is not valid is gone through a second
/// time, slowly, for the words.
///
/// # Errors
/// When the validator gave up.
pub(super) fn validate(validator: &SchemaValidator<'_>, set: &SchemaSet, message: &[u8]) -> Result<Vec<Violation>, NoVerdict> {
    let mut run = validator.start_run(Count(0));
    run.set_parse_limits(limits());
    let whole = |rule, offset: u64, detail: &str| {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(vec![Violation { rule, path: String::new(), offset, detail: detail.to_owned() }])
    };
    match drive_quick_xml(message, &mut run, set) {
        Ok(_) if run.sink.0 == 0 => Ok(Vec::new()),
        Ok(_) => match explain::explain(validator, set, message) {
            explained if explained.is_empty() => whole("cvc-elt", 0, "what the schema allows"),
            explained => Ok(explained),
        },
        Err(DriveError::NotWellFormed(fault)) => whole("not-well-formed", fault.position(), "well-formed XML"),
        Err(DriveError::LimitExceeded(_)) => whole("limit", 0, "a message within the bounds of nesting, names and nodes"),
        Err(_) => Err(NoVerdict),
    }
}
