//! The loaded XDP program, fed by `BPF_PROG_TEST_RUN`. Needs root.

mod corpus;
mod differential;
mod generate;
mod lost;
mod ownership;
mod program;
