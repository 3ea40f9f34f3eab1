//! The loaded XDP program, fed by `BPF_PROG_TEST_RUN`. Needs root.

mod budget;
mod corpus;
mod differential;
mod fixtures;
mod generate;
mod lost;
mod ownership;
mod passthrough;
mod program;
mod takeover;
