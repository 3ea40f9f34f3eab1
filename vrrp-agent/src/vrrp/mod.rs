//! The protocol, without a clock, socket, thread or random number in it. Time comes in as an argument; actions come out as
//! [`Output`]s; [`Instance::next_deadline`] says when to call again. A test can run it for a simulated year.

pub mod group;
mod instance;
mod terms;
mod time;
mod timers;
mod weight;

#[cfg(test)]
mod tests;

pub use instance::Instance;
pub use terms::{
    Cause, Fault, GarpSchedule, Heard, OnHigher, OnLower, Output, Params, Resume, SavedState, State,
    Statistics, SyncMembership, Watch,
};
pub use time::Time;
pub use weight::{Condition, Sense, Weight, WeightEffect, effective_priority};
