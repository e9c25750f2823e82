//! What an operator may order of messages that were given up, in closed lists of words.
//!
//! Why it exists: an order changes what a machine decided, so what it may do is named once, for the routes, the
//! command line, the store and the record of acts alike.

use crate::choice;

choice! {
    /// How dead letters live again.
    pub enum ReplayMode {
        /// The same bytes under the same message id, with attempts and give-up time counted anew.
        SameBytes = "same_bytes",
        /// Rendered anew by the newest mapping, with a new message id and LRN; the dead message ends `withdrawn`.
        Remap = "remap",
        /// The broker is known to have it, whatever its answer was: nothing is sent.
        SettleDelivered = "settle_delivered",
    }
}
