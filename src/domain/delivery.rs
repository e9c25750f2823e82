//! The delivery state of a message: ours alone, never a customs decision.

use crate::choice;

choice! {
    /// Delivery state of one message.
    pub enum DeliveryState {
        /// Waits for data or an event (reason `transport` or `presentation`).
        Waiting = "waiting",
        /// Due to be sent.
        Queued = "queued",
        /// Being sent; after a crash it is in doubt.
        Sending = "sending",
        /// The broker has it.
        Delivered = "delivered",
        /// Sent with unknown outcome.
        InDoubt = "in_doubt",
        /// Given up; a person has to act (reason `refused`, `exhausted`, `unresolved`).
        Dead = "dead",
        /// Taken back before anything was sent.
        Withdrawn = "withdrawn",
    }
}
choice! {
    /// Why a message is dead.
    pub enum DeadReason {
        /// The broker refused it technically.
        Refused = "refused",
        /// The give-up time passed.
        Exhausted = "exhausted",
        /// Sent with unknown outcome that nothing can resolve.
        Unresolved = "unresolved",
    }
}
choice! {
    /// What a message asks of the broker.
    pub enum MessageKind {
        /// The declaration itself.
        Declaration = "declaration",
        /// Corrects an accepted declaration.
        Amendment = "amendment",
        /// Takes it back.
        Cancellation = "cancellation",
        /// Tells that the goods arrived.
        Presentation = "presentation",
        /// Answers a request for documents or information.
        Answer = "answer",
        /// Asks for the status.
        Query = "query",
    }
}
