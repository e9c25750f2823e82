//! The commands. Data goes to stdout, everything else to stderr; 0 done, 1 faults found, 2 wrong usage.

pub mod mapping;
