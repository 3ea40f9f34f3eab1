//! The loaded XDP program, fed by `BPF_PROG_TEST_RUN`. Needs root.

mod budget;
mod corpus;
mod differential;
mod generate;
mod given;
mod lost;
mod others;
mod ownership;
mod program;
mod takeover;
