//! The state machine as one table: each state, each input, the next state and the outputs, by hand. A pair that is missing does not
//! compile. Sections are of RFC 9568; "keepalived" and "ours" are explained in `docs/vrrp.md`.

use vrrp_agent::vrrp::{Fault, Instance, Output, State, Time, Watch};

use super::states::{at, drain, heard, master, params, started};

/// An input of the state machine.
#[derive(Clone, Copy, Debug)]
enum Input {
    /// The daemon starts.
    Start,
    /// An advert of a router that ranks higher.
    Higher,
    /// An advert of equal priority from a greater address.
    EqualGreater,
    /// An advert of equal priority from a smaller address.
    EqualSmaller,
    /// An advert of a router that ranks lower.
    Lower,
    /// A resignation of the master, or of another router.
    Resignation,
    /// An advert from our own address.
    OwnAddress,
    /// The kernel half reports that the master was silent until the deadline.
    MasterDown,
    /// The deadline of the state machine itself has passed: of the master-down timer, or of the next advert.
    Deadline,
    /// The addresses are on the interface.
    Installed,
    /// An address was taken off the interface.
    AddressesLost,
    /// Something that the instance needs is gone.
    Fault,
    /// All that it needs is there.
    NoFault,
    /// The daemon stops.
    Stop,
    /// The instance is removed from the configuration.
    Remove,
}

const INPUTS: [Input; 15] = [
    Input::Start,
    Input::Higher,
    Input::EqualGreater,
    Input::EqualSmaller,
    Input::Lower,
    Input::Resignation,
    Input::OwnAddress,
    Input::MasterDown,
    Input::Deadline,
    Input::Installed,
    Input::AddressesLost,
    Input::Fault,
    Input::NoFault,
    Input::Stop,
    Input::Remove,
];

const STATES: [State; 4] = [State::Initialize, State::Backup, State::Master, State::Fault];

/// The time of the input: within the lease of a master, before its next advert.
const NOW: Time = at(4500);

/// An instance of priority 100 at 10.0.0.5 in a state. A backup has heard a master of priority 200 at second 4; a master has been
/// one since second 4.
fn instance_in(state: State) -> Instance {
    match state {
        State::Initialize => Instance::new(params(100), at(0)),
        State::Backup => {
            let mut instance = started(params(100));
            instance.handle_advert(at(4000), &heard(200, 9), Watch::Here);
            drain(&mut instance);
            instance
        }
        State::Master => master(),
        State::Fault => {
            let mut instance = started(params(100));
            instance.set_fault(at(4000), Fault::Present);
            drain(&mut instance);
            instance
        }
    }
}

fn apply(instance: &mut Instance, input: Input) {
    let hear = |instance: &mut Instance, priority, last| {
        instance.handle_advert(NOW, &heard(priority, last), Watch::Here);
    };
    match input {
        Input::Start => instance.start(NOW),
        Input::Higher => hear(instance, 200, 9),
        Input::EqualGreater => hear(instance, 100, 9),
        Input::EqualSmaller => hear(instance, 100, 1),
        Input::Lower => hear(instance, 50, 9),
        Input::Resignation => hear(instance, 0, 9),
        Input::OwnAddress => hear(instance, 50, 5),
        Input::MasterDown => instance.handle_master_down(NOW),
        Input::Deadline => {
            let due = instance.next_deadline().unwrap_or(NOW);
            instance.handle_timeout(due);
        }
        Input::Installed => instance.handle_installed(NOW),
        Input::AddressesLost => instance.handle_addresses_lost(NOW),
        Input::Fault => instance.set_fault(NOW, Fault::Present),
        Input::NoFault => instance.set_fault(NOW, Fault::None),
        Input::Stop => instance.stop(NOW),
        Input::Remove => instance.remove(NOW),
    }
}

/// The next state, the outputs in their order, and where that is written.
type Expected = (State, &'static str, &'static str);

#[expect(clippy::match_same_arms, reason = "each row stands where a reader looks for it, with its section")]
fn expected(state: State, input: Input) -> Expected {
    use Input as On;
    use State::{Backup, Fault as Faulted, Initialize, Master};
    let stays = |section| (state, "", section);
    match (state, input) {
        // An owner would be master at once; this router has priority 100.
        (Initialize, On::Start) => (Backup, "Initialize -> Backup: Started", "6.4.1"),
        // Nothing is heard and nothing is due before the start.
        (Initialize, On::Higher | On::EqualGreater | On::EqualSmaller | On::Lower) => stays("6.4.1"),
        (Initialize, On::Resignation | On::OwnAddress | On::MasterDown | On::Deadline) => stays("6.4.1"),
        (Initialize, On::Installed | On::AddressesLost | On::Fault | On::NoFault) => stays("6.4.1"),
        (Initialize, On::Stop | On::Remove) => stays("6.4.1"),

        (Backup, On::Start) => stays("ours: it runs already"),
        // A higher or equal advert sets the master-down timer, a lower one is discarded with preemption.
        (Backup, On::Higher | On::EqualGreater | On::EqualSmaller | On::Lower) => stays("6.4.2"),
        // A resignation of the master sets the timer to the skew time.
        (Backup, On::Resignation) => stays("6.4.2"),
        (Backup, On::OwnAddress) => stays("7.1"),
        (Backup, On::MasterDown | On::Deadline) => {
            (Master, "Backup -> Master: MasterSilent, advert 100, install", "6.4.2")
        }
        (Backup, On::Installed | On::AddressesLost) => stays("ours: a backup holds no addresses"),
        (Backup, On::Fault) => (Faulted, "Backup -> Fault: Faulted", "keepalived"),
        (Backup, On::NoFault) => stays("keepalived"),
        // A backup does not resign.
        (Backup, On::Stop) => (Initialize, "Backup -> Initialize: Stopped", "6.4.2"),
        (Backup, On::Remove) => (Initialize, "Backup -> Initialize: Removed", "6.4.2"),

        (Master, On::Start) => stays("ours: it runs already"),
        (Master, On::Higher | On::EqualGreater) => {
            (Backup, "withdraw, Master -> Backup: HigherPriority", "6.4.3")
        }
        // The advert is discarded and answered at once; neighbours that have believed the other router are corrected.
        (Master, On::EqualSmaller | On::Lower) => {
            (Master, "advert 100, announce 5, lower heard", "6.4.3; keepalived announces")
        }
        (Master, On::Resignation) => (Master, "advert 100", "6.4.3"),
        (Master, On::OwnAddress) => stays("7.1"),
        (Master, On::MasterDown) => stays("6.4.3: a master waits for no other"),
        (Master, On::Deadline) => (Master, "advert 100", "6.4.3"),
        // Announced when they are on the interface, never before.
        (Master, On::Installed) => (Master, "announce 5", "6.4.2 and 8.1.2"),
        (Master, On::AddressesLost) => {
            (Backup, "advert 0, withdraw, Master -> Backup: AddressesLost", "keepalived")
        }
        (Master, On::Fault) => (
            Faulted,
            "advert 0, advert 0, withdraw, Master -> Fault: Faulted",
            "keepalived: two resignations",
        ),
        (Master, On::NoFault) => stays("keepalived"),
        (Master, On::Stop) => (Initialize, "advert 0, withdraw, Master -> Initialize: Stopped", "6.4.3"),
        (Master, On::Remove) => (Initialize, "advert 0, withdraw, Master -> Initialize: Removed", "6.4.3"),

        // The RFC has no such state: nothing is sent, and nothing that is heard counts until all is there.
        (Faulted, On::Start) => stays("keepalived"),
        (Faulted, On::Higher | On::EqualGreater | On::EqualSmaller | On::Lower) => stays("keepalived"),
        (Faulted, On::Resignation | On::OwnAddress | On::MasterDown | On::Deadline) => stays("keepalived"),
        (Faulted, On::Installed | On::AddressesLost | On::Fault) => stays("keepalived"),
        (Faulted, On::NoFault) => (Backup, "Fault -> Backup: Recovered", "keepalived"),
        (Faulted, On::Stop) => (Initialize, "Fault -> Initialize: Stopped", "keepalived"),
        (Faulted, On::Remove) => (Initialize, "Fault -> Initialize: Removed", "keepalived"),
    }
}

fn text(output: &Output) -> String {
    match output {
        Output::Advertise { priority } => format!("advert {priority}"),
        Output::Install => "install".to_owned(),
        Output::Withdraw => "withdraw".to_owned(),
        Output::Announce { repeat } => format!("announce {repeat}"),
        Output::LowerHeard => "lower heard".to_owned(),
        Output::Transition { from, to, cause } => format!("{from:?} -> {to:?}: {cause:?}"),
    }
}

#[test]
fn each_state_handles_each_input_as_it_is_written() {
    let mut wrong = Vec::new();
    for state in STATES {
        for input in INPUTS {
            let mut instance = instance_in(state);
            assert_eq!(instance.state(), state);
            apply(&mut instance, input);
            let outputs: Vec<String> = drain(&mut instance).iter().map(text).collect();
            let (next, said, section) = expected(state, input);
            let actual = (instance.state(), outputs.join(", "));
            if actual != (next, said.to_owned()) {
                wrong.push(format!(
                    "{state:?} + {input:?} ({section}):\n  expected {next:?}, [{said}]\n  actual   {:?}, [{}]",
                    actual.0, actual.1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} pairs differ:\n{}", wrong.len(), wrong.join("\n"));
}
