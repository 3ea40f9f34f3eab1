//! The cost of the programs for the verifier and the cache, compared with the figures in `budget.txt`. The figures are of one
//! kernel and one compiler. A tenth more is accepted; a larger increase has to be examined and recorded.

use anyhow::{Context as _, Result};

use super::program::{Entry, Program};

const RECORD: &str = include_str!("budget.txt");

/// The recorded cost of a program: the instructions that the verifier went through, and the bytes of the code that the kernel
/// runs.
fn recorded(name: &str) -> Result<(u32, u32)> {
    let line = RECORD.lines().find(|line| line.split_whitespace().next() == Some(name));
    let mut words = line.with_context(|| format!("no record of {name}"))?.split_whitespace().skip(1);
    let mut number = || Ok::<u32, anyhow::Error>(words.next().context("two figures")?.parse()?);
    Ok((number()?, number()?))
}

#[test]
fn the_programs_stay_within_their_budget() -> Result<()> {
    for entry in Entry::ALL {
        let mut program = Program::load(entry)?;
        compare(&mut program, entry.name())?;
        if entry == Entry::Xdp {
            compare(&mut program, "prepare")?;
        }
    }
    Ok(())
}

fn compare(program: &mut Program, name: &str) -> Result<()> {
    let (verified, bytes) = program.cost(name)?;
    let (verified_recorded, bytes_recorded) = recorded(name)?;
    println!("{name}: verified {verified} (recorded {verified_recorded}), bytes {bytes} ({bytes_recorded})");
    let within = |now: u32, recorded: u32| now <= recorded + recorded / 10;
    assert!(
        within(verified, verified_recorded) && within(bytes, bytes_recorded),
        "{name}: {verified} instructions verified and {bytes} bytes; record that in tests/kernel/budget.txt if it is \
         worth it"
    );
    Ok(())
}
