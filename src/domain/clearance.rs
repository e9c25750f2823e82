//! The clearance state of a filing: what customs decided, merged from notices that repeat, overtake
//! one another and share a second. The rules: "Three state machines" of the product description.

use crate::choice;

choice! {
    /// Clearance status, in rank order; at equal authority time a lower rank changes nothing.
    pub enum ClearanceStatus {
        /// Nothing sent yet.
        Pending = "pending",
        /// The broker has it.
        Submitted = "submitted",
        /// Customs has it (pre-lodged).
        Registered = "registered",
        /// Legally accepted.
        Accepted = "accepted",
        /// Documents or answers are wanted.
        DocumentsRequired = "documents_required",
        /// Somebody must pay.
        DutiesDue = "duties_due",
        /// Held for examination or another decision.
        Held = "held",
        /// Detained by customs.
        Detained = "detained",
        /// The goods may go; the debt is not final.
        Released = "released",
        /// Cleared, final.
        Cleared = "cleared",
        /// Refused; waits for a correction.
        Rejected = "rejected",
        /// Sent back, final.
        Returned = "returned",
        /// Seized, final.
        Seized = "seized",
        /// Destroyed, final.
        Destroyed = "destroyed",
        /// Cancelled or invalidated, final.
        Cancelled = "cancelled",
    }
}
