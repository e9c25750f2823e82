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
choice! {
    /// What an operator does that is kept as evidence.
    pub enum ActKind {
        /// Held a broker.
        Pause = "pause",
        /// Let a broker go on.
        Resume = "resume",
        /// Had a broker's certificates and secrets read anew.
        ReloadCertificates = "reload_certificates",
        /// Had all mappings loaded anew.
        ReloadMappings = "reload_mappings",
        /// Let dead letters live again.
        Replay = "replay",
        /// Took dead letters back for good.
        Purge = "purge",
        /// Had parked notices read again.
        Reread = "reread",
    }
}
