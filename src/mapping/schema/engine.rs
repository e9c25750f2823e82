//! One compiled schema and the verdict on one message. Lives on one thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use xsd_schema::parser::frames::ComplexContentResult;
use xsd_schema::validation::{DriveError, SchemaValidator, ValidationFlags, ValidationSink, ValidationWarning, drive_quick_xml};
use xsd_schema::xml::ParseLimits;
use xsd_schema::{InstanceValidationError, LocationRequest, LocationRewriter, SchemaResolver, SchemaSet, SchemaSetBuilder};

use super::folder::{Folder, Loader};
use super::{NoVerdict, Violation, explain};

/// Compiles the schema with a root file.
///
/// # Errors
/// Everything that makes it unusable, with the file and line where it has them.
pub(super) fn compile(folder: &Arc<Folder>, root: &str) -> Result<SchemaSet, Vec<String>> {
    // Official sets import one namespace from two copies of a file. All its files are a namespace's, by the
    // letter; where they contradict one another, only the first is read, as libxml2 does.
    let mut set = match read(folder, root, false) {
        Err(faults) => read(folder, root, true).map_err(|_| faults)?,
        Ok(set) => set,
    };
    compile_patterns(&mut set).map_err(|error| vec![Folder::plain(&error.to_string())])?;
    let validator = validator(&set);
    let unprepared: Vec<String> = validator.content_model_failures().iter().map(|(_, why)| format!("a content model: {why}")).collect();
    drop(validator);
    if unprepared.is_empty() { Ok(set) } else { Err(unprepared) }
}

fn read(folder: &Arc<Folder>, root: &str, one_file_of_a_namespace: bool) -> Result<SchemaSet, Vec<String>> {
    let failed = |error: &dyn std::fmt::Display| match folder.refused() {
        refused if refused.is_empty() => vec![Folder::plain(&error.to_string())],
        refused => refused,
    };
    let mut builder = SchemaSetBuilder::with_loader(Box::new(Loader(Arc::clone(folder))));
    if one_file_of_a_namespace {
        builder.set_location_rewriter(first_file());
    }
    builder.try_add(&Folder::location(root)).map_err(|error| failed(&error))?;
    let set = builder.compile().map_err(|error| failed(&error))?.into_schema_set();
    // A part that is missing is no error to the crate; such a schema would validate less than it says.
    match set.directive_failures().first() {
        Some(first) => Err(failed(first.error())),
        None => Ok(set),
    }
}

/// Sends each import of a namespace to the file that its first one named.
fn first_file() -> impl LocationRewriter {
    let known: Mutex<BTreeMap<String, String>> = Mutex::default();
    move |request: &LocationRequest<'_>, resolver: &SchemaResolver| {
        let namespace = request.namespace?;
        let location = resolver.resolve_location(request.location, request.base_uri).ok()?;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        Some(known.entry(namespace.to_owned()).or_insert(location).clone())
    }
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
            Some(explained) => Ok(explained),
            None => whole("cvc-elt", 0, "what the schema allows"),
        },
        Err(DriveError::NotWellFormed(fault)) => whole("not-well-formed", fault.position(), "well-formed XML"),
        Err(DriveError::LimitExceeded(_)) => whole("limit", 0, "a message within the bounds of nesting, names and nodes"),
        Err(_) => Err(NoVerdict),
    }
}
