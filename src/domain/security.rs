//! The security state of a filing (pre-loading): a track of its own. "Assessment complete" never
//! means released, and `do_not_load` stops loading even of a released item.

use crate::choice;

choice! {
    /// Security status.
    pub enum SecurityStatus {
        /// No security filing.
        None = "none",
        /// The broker has it.
        Submitted = "submitted",
        /// The authority has it.
        Registered = "registered",
        /// More information is wanted (RFI).
        InformationRequested = "information_requested",
        /// Screening is wanted (RFS).
        ScreeningRequested = "screening_requested",
        /// A control is announced.
        Control = "control",
        /// The item may be loaded as far as security goes.
        AssessmentComplete = "assessment_complete",
        /// Must not be loaded (DNL).
        DoNotLoad = "do_not_load",
        /// Refused; waits for a correction.
        Rejected = "rejected",
        /// Cancelled.
        Cancelled = "cancelled",
    }
}
