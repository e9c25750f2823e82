//! The store from outside: what is kept, in which order, and what a crash leaves.
#![allow(clippy::disallowed_methods, reason = "a test program of its own, against real time and a real disk")]

mod audit;
mod crash;
mod events;
mod intake;
mod intents;
mod lane;
mod mappings;
mod notices;
mod overdue;
mod replay;
mod rig;
