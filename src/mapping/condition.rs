//! Conditions outside of templates: `[[routes]] when`. The same language over the declaration and
//! the post.

use super::PostContext;
use super::code::Code;
use super::eval::{Roots, Run};
use super::expr;
use super::faults::line_column;
use super::scope::{Scope, Use};
use crate::domain::declaration::Declaration;

/// A fault of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionFault {
    /// Column from 1, in characters.
    pub column: u32,
    /// What is wrong and what is allowed.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl std::fmt::Display for ConditionFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)?;
        self.suggestion.as_ref().map_or(Ok(()), |suggestion| write!(f, " (did you mean {suggestion}?)"))
    }
}

/// A compiled condition.
#[derive(Debug)]
pub struct Condition(Code);

impl Condition {
    /// Compiles a condition over the declaration and `post`.
    ///
    /// # Errors
    /// Every fault with its column.
    pub fn compile(text: &str) -> Result<Self, Vec<ConditionFault>> {
        let scope = Scope {
            purpose: Use::Route,
            settings: Some(&[]),
            codes: &[],
            variables: Vec::new(),
            draft: false,
            converts: false.into(),
            undecided: Vec::new().into(),
        };
        let place = |(at, remark): (usize, super::faults::Remark)| ConditionFault {
            column: line_column(text, at).1,
            message: remark.message,
            suggestion: remark.suggestion,
        };
        expr::condition(&scope, text).map(Self).map_err(|faults| faults.into_iter().map(place).collect())
    }

    /// Whether it holds. What cannot be computed does not hold.
    pub fn matches(&self, declaration: &Declaration, post: PostContext<'_>) -> bool {
        let roots = Roots {
            declaration,
            settings: None,
            message: None,
            mrn: None,
            reason: None,
            previous: None,
            changes: None,
            post: &post,
            broker: None,
        };
        let mut run = Run::new(roots, 0);
        run.test(&self.0) && run.faults.is_empty()
    }
}
