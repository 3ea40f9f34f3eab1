//! The protocol, without a clock, socket, thread or random number in it. Time comes in as an argument; what is to be done
//! comes out as [`Output`]s; when to come back, as [`Instance::next_deadline`]. It can be run for a simulated year.

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
    Cause, Company, Fault, GarpSchedule, Heard, OnHigher, OnLower, Output, Params, Past, Spell, State,
    Statistics, Watch,
};
pub use time::Time;
pub use weight::{Bearing, Condition, Sense, Weight, effective_priority};
