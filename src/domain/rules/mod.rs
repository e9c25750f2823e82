//! What makes a declaration sound: the rules that fields owe to standards, to one another and to the post.
//!
//! [`Declaration::read_shape`] told what could not be read; here the values are judged. All faults are
//! found in one pass and none is told twice. Rules are those of every route (UPU S10, CN22/CN23, ISO
//! 3166 and 4217, forms of codes); what one destination or broker wants beyond them is its mapping's
//! business. A rule never changes the declaration, never repeats a value, reads no clock, and costs no
//! allocation while nothing is wrong: this runs for each declaration before the durable commit.

mod contents;
mod findings;
mod identifiers;
mod item;
mod money;
mod papers;
mod parties;
mod shapes;
#[cfg(test)]
mod tests;
mod vague;

use super::declaration::Declaration;
use super::fault::{Fault, Faults};
use super::time::Date;
use findings::Findings;

/// What an operator may decide about the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakePolicy {
    /// Whether a wrong S10 check digit refuses the declaration; else it is a warning.
    pub s10_check_digit_is_fault: bool,
    /// Most lines of contents.
    pub max_lines: usize,
    /// Heaviest item, in grams, packaging included.
    pub max_gross_weight_g: u64,
    /// How many days a posting date may lie back.
    pub oldest_posting_days: u32,
    /// How many days a posting date may lie ahead (items are declared before they are posted).
    pub furthest_posting_days: u32,
}

impl Default for IntakePolicy {
    fn default() -> Self {
        Self {
            s10_check_digit_is_fault: true,
            max_lines: 999,
            max_gross_weight_g: 31_500,
            oldest_posting_days: 365,
            furthest_posting_days: 30,
        }
    }
}

/// Judges a declaration whose shape was read, adding to what was found in shape.
///
/// `item_countries` are the issuing countries of the S10 ids that the post may declare; `"*"` stands
/// for all. `today` is the day in UTC.
pub fn check(
    declaration: &Declaration,
    policy: &IntakePolicy,
    item_countries: &[String],
    today: Date,
    faults: &mut Faults,
    warnings: &mut Vec<Fault>,
) {
    let mut findings = Findings::after_shape(faults, warnings);
    item::check(declaration, policy, item_countries, today, &mut findings);
    parties::check(declaration, &mut findings);
    contents::check(declaration, policy, &mut findings);
    money::check(declaration, today, &mut findings);
    papers::check(declaration, &mut findings);
}
