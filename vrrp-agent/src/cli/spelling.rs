//! keepalived's ways of spelling options, which `getopt_long` takes and clap does not: a value behind the letter of an option that
//! may have one (`-tFILE`), underscores in long names, and words that belong to no option.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::Command;

/// Options whose value, if there is one, stands behind the letter without a space.
const MAY_HAVE_VALUE: &[u8] = b"Mgt";

/// Arguments as clap takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spelled {
    /// The arguments, the program's own name first.
    pub(super) arguments: Vec<OsString>,
    /// Words that belong to no option; keepalived names them and goes on.
    pub(super) strays: Vec<String>,
}

/// Spells arguments as clap takes them. `command` says which options have a value.
pub(super) fn spelled(command: &Command, arguments: impl IntoIterator<Item = OsString>) -> Spelled {
    let mut spelled = Spelled { arguments: Vec::new(), strays: Vec::new() };
    let mut words = arguments.into_iter();
    spelled.arguments.extend(words.next());
    let mut options_only = None;
    while let Some(word) = words.next() {
        // Behind a command of ours there is nothing of keepalived's but the names of options.
        let of_daemon = *options_only.get_or_insert(word.as_bytes().starts_with(b"-"));
        match word.as_bytes() {
            // It ends the options, and there is nothing else.
            b"--" if of_daemon => {}
            [b'-', b'-', ..] => {
                let (word, wants_value) = long(command, &word);
                spelled.arguments.push(word);
                if of_daemon && wants_value {
                    spelled.arguments.extend(words.next());
                }
            }
            [b'-', _, ..] if of_daemon => {
                let (word, wants_value) = letters(command, &word);
                spelled.arguments.push(word);
                if wants_value {
                    spelled.arguments.extend(words.next());
                }
            }
            _ if of_daemon => spelled.strays.push(word.to_string_lossy().into_owned()),
            _ => spelled.arguments.push(word),
        }
    }
    spelled
}

/// Spells a long option with hyphens in its name. The second value is true if the next word is the value of the option.
fn long(command: &Command, word: &OsStr) -> (OsString, bool) {
    let bytes = word.as_bytes();
    let end = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
    let mut spelled = bytes.to_vec();
    spelled[..end].iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'-');
    let name = String::from_utf8_lossy(&spelled[2..end]).into_owned();
    let named = |exact: bool| {
        command.get_arguments().filter(move |argument| argument.get_long().is_some()).find(|argument| {
            let long = argument.get_long().unwrap_or_default();
            if exact { long == name } else { long.starts_with(name.as_str()) }
        })
    };
    let takes_value = named(true).or_else(|| named(false)).is_some_and(needs_value);
    (OsString::from_vec(spelled), takes_value && end == bytes.len())
}

/// Spells options of one letter in one word, with a `=` before a value that needs one. The second value is true if the next word
/// is the value of the last option.
fn letters(command: &Command, word: &OsStr) -> (OsString, bool) {
    let bytes = word.as_bytes();
    for (at, letter) in bytes.iter().enumerate().skip(1) {
        let rest = &bytes[at + 1..];
        if MAY_HAVE_VALUE.contains(letter) {
            let mut spelled = bytes[..=at].to_vec();
            if !rest.is_empty() && rest[0] != b'=' {
                spelled.push(b'=');
            }
            spelled.extend_from_slice(rest);
            return (OsString::from_vec(spelled), false);
        }
        let mut arguments = command.get_arguments();
        let named = arguments.find(|argument| argument.get_short() == Some(char::from(*letter)));
        if named.is_some_and(needs_value) {
            return (word.to_owned(), rest.is_empty());
        }
    }
    (word.to_owned(), false)
}

/// Returns true if an option needs a value. Before it parses, clap does not say how many values an option has.
fn needs_value(argument: &clap::Arg) -> bool {
    let least = argument.get_num_args().map(|range| range.min_values());
    argument.get_action().takes_values() && least != Some(0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::Cli;
    use super::*;

    /// Every option of keepalived 2.2.7's `getopt_long`, and every way to spell it.
    const KEEPALIVED: &[&str] = &[
        "-f FILE",
        "-fFILE",
        "--use-file FILE",
        "--use-file=FILE",
        "--use_file=FILE",
        "--use FILE",
        "-P",
        "--vrrp",
        "-C",
        "--check",
        "-B",
        "--no_bfd",
        "--no-bfd",
        "--no_b",
        "--all",
        "-l",
        "--log-console",
        "--log-c",
        "-D",
        "--log-detail",
        "--log_detail",
        "-nlD",
        "-S 3",
        "-S3",
        "-Slocal3",
        "--log-facility=local3",
        "--log-fac daemon",
        "-g",
        "-g/var/log/k",
        "-g=/var/log/k",
        "--log-file",
        "--log-file=/var/log/k",
        "-lg/var/log/k",
        "--flush-log-file",
        "--flush",
        "-G",
        "--no-syslog",
        "-u 022",
        "-u022",
        "--umask=IWGRP|IWOTH",
        "-X",
        "--release-vips",
        "-V",
        "--dont-release-vrrp",
        "-I",
        "--dont-release-ipvs",
        "-R",
        "--dont-respawn",
        "-n",
        "--dont-fork",
        "--dont-f",
        "-d",
        "--dump-conf",
        "--dump",
        "-p /run/k.pid",
        "-p/run/k.pid",
        "--pid=/run/k.pid",
        "--pid /run/k.pid",
        "-r /run/v.pid",
        "-r/run/v.pid",
        "--vrrp_pid=/run/v.pid",
        "--vrrp_pid /run/v.pid",
        "--vrrp-pid=/run/v.pid",
        "--vrrp_p /run/v.pid",
        "-c /run/c.pid",
        "--checkers_pid=/run/c.pid",
        "--checkers_pid /run/c.pid",
        "--checkers-pid=/run/c.pid",
        "--checkers /run/c.pid",
        "-b /run/b.pid",
        "--bfd_pid=/run/b.pid",
        "--bfd_pid /run/b.pid",
        "--bfd-pid=/run/b.pid",
        "--bfd /run/b.pid",
        "-T",
        "--genhash",
        "-a",
        "--address-monitoring",
        "--address",
        "-x",
        "--snmp",
        "-A unix:/x",
        "-Aunix:/x",
        "--snmp-agent-socket=unix:/x",
        "--snmp-a unix:/x",
        "-s blue",
        "-sblue",
        "--namespace=blue",
        "--name blue",
        "-m",
        "--core-dump",
        "-M",
        "-Mcore.%p",
        "--core-dump-pattern",
        "--core-dump-pattern=core.%p",
        "-e",
        "--all-config",
        "--all-c",
        "-i id",
        "-iid",
        "--config-id=id",
        "--config-i id",
        "--signum=STOP",
        "--signum STOP",
        "--sig RELOAD",
        "-t",
        "-tFILE",
        "-nt",
        "-lt/tmp/log",
        "--config-test",
        "--config-test=FILE",
        "--config_test=FILE",
        "--config-t",
        "-n stray",
        "-f FILE stray words -n",
        // Newer, or built in by some.
        "--debug",
        "--debug=D",
        "--perf",
        "--perf=all",
        "--no-mem-check",
        "--ignore-sigint",
    ];

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let words = std::iter::once("vrrp-agent").chain(line.split_whitespace()).map(OsString::from);
        Cli::try_from_words(words)
    }

    #[test]
    fn r16_every_option_of_keepalived_is_taken() {
        for line in KEEPALIVED {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn r16_options_mean_what_they_mean_in_keepalived() {
        let daemon = parse("-nlD -fa.conf -p/run/p --vrrp_pid /run/v -Slocal3 stray").expect("taken").daemon;
        assert_eq!((daemon.source.file.as_os_str(), daemon.strays.len()), (OsStr::new("a.conf"), 1));
        assert!(daemon.log_detail && daemon.log_console && daemon.pid_file.is_some());
        let said = daemon.ignored.given();
        assert!(said.iter().any(|said| said.contains("-r: there is one process")), "{said:?}");
        for (line, to) in [("-t", None), ("-tx", Some("x")), ("--config-test=x", Some("x"))] {
            let test = parse(line).expect("taken").daemon.test.expect("a test");
            assert_eq!(test.as_deref(), to.map(std::path::Path::new), "{line}");
        }
    }

    #[test]
    fn our_own_commands_are_left_alone() {
        for line in
            ["status --json", "status -s blue", "check -f a_b.conf", "adverts show", "show-config --secrets"]
        {
            assert!(
                parse(line).is_ok_and(|cli| cli.command.is_some() && cli.daemon.strays.is_empty()),
                "{line}"
            );
        }
        // A slip of the pen does not start the daemon, nor does what keepalived does not know either.
        for line in ["stauts", "--no", "--nonsense", "-f"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("--dataplane socket -n --xdp_mode generic").expect("taken").daemon.strays.is_empty());
    }

    #[test]
    fn a_value_is_not_taken_for_an_option() {
        let words = ["vrrp-agent", "-f", "-tx", "--pid", "a_b"].map(OsString::from);
        let spelled = spelled(&Cli::command(), words.clone());
        assert_eq!((spelled.arguments, spelled.strays), (words.to_vec(), vec![]));
    }
}
