//! Body to a sound declaration: shape and rules, all faults in one answer.

use crate::config;
use crate::domain::declaration::{Category, Declaration};
use crate::domain::fault::Fault;
use crate::domain::ids::S10;
use crate::domain::json::{self, Json};
use crate::domain::rules::{self, IntakePolicy};
use crate::domain::time::Date;
use crate::error::{ApiError, Code};

use super::{PostProfile, Router};

/// A declaration without faults. There is no other way to get one than `read`.
#[derive(Debug)]
pub struct Sound {
    /// The declaration.
    pub declaration: Declaration,
    /// What was normalised or looks doubtful.
    pub warnings: Vec<Fault>,
}

impl Sound {
    /// Whether it comes back to where it was posted.
    pub fn is_return(&self) -> bool {
        self.declaration.category == Category::ReturnedGoods
    }
}

/// Item, posting date and content hash: enough to find what was taken before.
pub type Known = (S10, Date, [u8; 32]);

/// A declaration with faults.
pub struct Refused {
    /// The problem with all faults.
    pub error: ApiError,
    /// What could be a repeat of something taken before (its shape was sound).
    pub known: Option<Known>,
}

/// The rules' policy of a configuration.
pub fn policy(intake: &config::Intake) -> IntakePolicy {
    IntakePolicy {
        s10_check_digit_is_fault: intake.s10_check_digit == config::Strictness::Reject,
        max_lines: usize::try_from(intake.max_lines).unwrap_or(usize::MAX),
        max_gross_weight_g: intake.max_gross_weight_g,
        ..IntakePolicy::default()
    }
}

/// Reads and checks a body.
///
/// # Errors
/// Outer: malformed JSON (400). Inner: a declaration with faults (422).
pub fn read(
    body: &[u8],
    post: &PostProfile,
    router: &Router,
    policy: &IntakePolicy,
    today: Date,
) -> Result<Result<Sound, Refused>, ApiError> {
    Ok(judge(&parse(body)?, post, router, policy, today))
}

/// Reads JSON.
///
/// # Errors
/// Malformed JSON (400).
pub fn parse(body: &[u8]) -> Result<Json<'_>, ApiError> {
    json::parse(body).map_err(|malformed| ApiError::new(Code::MalformedJson).detail(format!("The body cannot be read: {malformed}.")))
}

/// Checks a declaration that was read.
///
/// # Errors
/// A declaration with faults (422).
pub fn judge(tree: &Json<'_>, post: &PostProfile, router: &Router, policy: &IntakePolicy, today: Date) -> Result<Sound, Refused> {
    let (declaration, mut faults, mut warnings) = Declaration::read_shape(tree);
    let shape_is_sound = faults.is_empty();
    rules::check(&declaration, policy, &post.item_countries, today, &mut faults, &mut warnings);
    if let Some(fault) = router.wish_fault(&declaration, post) {
        faults.push_unless_covered(fault);
    }
    if faults.is_empty() {
        return Ok(Sound { declaration, warnings });
    }
    let known = shape_is_sound.then(|| (declaration.item_id, declaration.posted_on(), declaration.content_hash()));
    let count = faults.count();
    let detail = format!(
        "{count} fault{} in the declaration; each pointer says where, each detail what is allowed.",
        if count == 1 { "" } else { "s" }
    );
    let error = ApiError::new(Code::InvalidDeclaration).detail(detail).errors(faults.into_vec());
    Err(Refused { error, known })
}
