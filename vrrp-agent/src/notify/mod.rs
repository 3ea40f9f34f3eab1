//! Tells the operator's programs, FIFOs and mailboxes of the states of instances and groups. The daemon never waits for them:
//! notifications go into queues, each bounded and in order, and a queue that is full loses its oldest item and logs that.

mod channel;
mod fifo;
mod groups;
mod mail;
mod script;

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;

use crate::config::{Config, NotifyScripts, OnDelete, Program, ScriptSecurity, Slot};
use crate::process;
pub use channel::{Channel, Finishing};
use fifo::Fifo;
pub use groups::Groups;
use mail::Mailer;
use script::{Call, Scripts};

/// The subject of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A `vrrp_instance`.
    Instance,
    /// A `vrrp_sync_group`.
    Group,
}

impl Subject {
    fn word(self) -> &'static str {
        match self {
            Self::Instance => "INSTANCE",
            Self::Group => "GROUP",
        }
    }
}

/// The event of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The subject is master.
    Master,
    /// The subject is backup.
    Backup,
    /// The subject is in fault.
    Fault,
    /// The daemon stops.
    Stop,
    /// A reload has removed the subject.
    Deleted,
    /// A master has heard a lower router.
    MasterRxLowerPri,
    /// A master's priority has changed.
    MasterPriority,
    /// A backup's priority has changed.
    BackupPriority,
}

impl Event {
    fn word(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
            Self::MasterRxLowerPri => "MASTER_RX_LOWER_PRI",
            Self::MasterPriority => "MASTER_PRIORITY",
            Self::BackupPriority => "BACKUP_PRIORITY",
        }
    }

    /// Returns true if `notify` runs too: not for an event within a state.
    fn is_change_of_state(self) -> bool {
        match self {
            Self::Master | Self::Backup | Self::Fault | Self::Stop | Self::Deleted => true,
            Self::MasterRxLowerPri | Self::MasterPriority | Self::BackupPriority => false,
        }
    }
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its subject.
    pub subject: Subject,
    /// The name of the subject.
    pub name: String,
    /// The slot, if the subject is an instance.
    pub slot: Option<Slot>,
    /// The event.
    pub event: Event,
    /// The priority after tracking; a group has none, which is 0.
    pub priority: u8,
}

impl Notification {
    /// The arguments that `notify` is given behind its own, and the words of a line in a FIFO.
    fn words(&self) -> [String; 4] {
        let Self { subject, name, event, priority, slot: _ } = self;
        [subject.word().to_owned(), name.clone(), event.word().to_owned(), priority.to_string()]
    }

    fn line(&self) -> String {
        let Self { subject, name, event, priority, slot: _ } = self;
        format!("{} \"{name}\" {} {priority}\n", subject.word(), event.word())
    }
}

/// The programs, FIFOs and mailboxes to tell, and the queues to them. The default tells nobody.
#[derive(Debug, Default)]
pub struct Notifier {
    plan: HashMap<(Subject, String), NotifyScripts>,
    security: ScriptSecurity,
    scripts: Scripts,
    fifos: Vec<Fifo>,
    mailer: Option<Mailer>,
}

impl Notifier {
    /// Opens the FIFOs and starts the mailer. What cannot be opened, or will not run, is logged now; the rest works without it.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut notifier = Self::default();
        notifier.change(config, &[]);
        notifier
    }
}

impl Channel for Notifier {
    /// A FIFO that is in both configurations stays open, and notifications in a queue are still told.
    fn change(&mut self, config: &Config, _was: &[Option<Slot>]) {
        let instances = config.instances.iter().map(|i| ((Subject::Instance, i.name.clone()), &i.notify));
        let groups = config.groups.iter().map(|g| ((Subject::Group, g.name.clone()), &g.notify));
        self.plan = instances.chain(groups).map(|(subject, scripts)| (subject, scripts.clone())).collect();
        self.security = config.script_security;
        for ((_, name), scripts) in &self.plan {
            for program in scripts.programs() {
                process::examine_soon(format!("notify script of {name}"), program, self.security);
            }
        }
        self.scripts.retain(|subject| self.plan.contains_key(subject));
        let mut before = std::mem::take(&mut self.fifos);
        for settings in &config.fifos {
            let fifo = match before.iter().position(|fifo| fifo.is_at(&settings.path)) {
                Some(at) => Ok(before.swap_remove(at)),
                None => Fifo::open(settings),
            };
            match fifo {
                Ok(mut fifo) => {
                    fifo.set_reader(settings.reader.as_ref(), self.security);
                    self.fifos.push(fifo);
                }
                Err(error) => {
                    tracing::error!("FIFO {}: {error}; nothing is written to it", settings.path.display());
                }
            }
        }
        for fifo in before {
            // A reader has a while to end; the reload does not wait for it.
            tokio::spawn(fifo.finish(Instant::now() + END_TIMEOUT));
        }
        let router_id = config.router_id.as_deref();
        if self.mailer.as_ref().is_none_or(|mailer| !mailer.is(config.mail.as_ref(), router_id)) {
            // The mailer before still sends the mails in its queue.
            self.mailer = config.mail.as_ref().and_then(|mail| Mailer::new(mail, router_id));
        }
    }

    fn tell(&mut self, notification: &Notification) {
        let key = (notification.subject, notification.name.clone());
        let Some(scripts) = self.plan.get(&key) else { return };
        let event = match (notification.event, &scripts.on_delete) {
            (Event::Deleted, OnDelete::Fault) => Event::Fault,
            (event, OnDelete::Fault | OnDelete::Deleted(_)) => event,
        };
        if matches!(event, Event::MasterPriority | Event::BackupPriority) && !scripts.priority_changes {
            return;
        }
        let notification = Notification { event, ..notification.clone() };
        for fifo in &self.fifos {
            fifo.write(notification.line());
        }
        // As with keepalived: the program for this event first, then the program for all events.
        let own = scripts.of(event).map(|program| (program, Vec::new()));
        let any = scripts.any.as_ref().filter(|_| event.is_change_of_state());
        let any = any.map(|program| (program, notification.words().to_vec()));
        for (program, arguments) in own.into_iter().chain(any) {
            self.scripts.run(&key, Call { program: program.clone(), arguments, security: self.security });
        }
        if scripts.smtp_alert
            && let Some(mailer) = &self.mailer
        {
            mailer.send(&notification);
        }
    }

    fn finish(&mut self, patience: Duration) -> Finishing {
        let Self { scripts, fifos, mailer, .. } = std::mem::take(self);
        Box::pin(async move {
            let until = Instant::now() + patience;
            // All at once, since each may need the whole time.
            let fifos: Vec<_> = fifos.into_iter().map(|fifo| tokio::spawn(fifo.finish(until))).collect();
            let mailer = mailer.map(|mailer| tokio::spawn(mailer.finish(until)));
            scripts.finish(until).await;
            for task in fifos.into_iter().chain(mailer) {
                let _panicked = task.await;
            }
        })
    }
}

/// The time for tasks that have to end while the daemon goes on.
const END_TIMEOUT: Duration = Duration::from_secs(5);

impl NotifyScripts {
    /// Returns the program for this event alone.
    fn of(&self, event: Event) -> Option<&Program> {
        match event {
            Event::Master => self.master.as_ref(),
            Event::Backup => self.backup.as_ref(),
            Event::Fault => self.fault.as_ref(),
            Event::Stop => self.stop.as_ref(),
            Event::MasterRxLowerPri => self.lower_heard.as_ref(),
            Event::Deleted => match &self.on_delete {
                OnDelete::Deleted(program) => program.as_ref(),
                OnDelete::Fault => None,
            },
            Event::MasterPriority | Event::BackupPriority => None,
        }
    }

    /// Returns all programs.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &Program> {
        let events = [Event::Master, Event::Backup, Event::Fault, Event::Stop, Event::Deleted];
        let of = events.into_iter().chain([Event::MasterRxLowerPri]).filter_map(move |event| self.of(event));
        of.chain(&self.any)
    }
}

/// Returns the next item of a queue, `None` when the queue has ended and is empty. Items that it lost for want of room are
/// logged.
async fn next<T: Clone>(queue: &mut Receiver<T>, what: &str) -> Option<T> {
    loop {
        match queue.recv().await {
            Ok(item) => return Some(item),
            Err(RecvError::Closed) => return None,
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(
                    "{what}: notifications come faster than they are taken, so the oldest are lost ({lost} of them)"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(subject: Subject, name: &str, event: Event, priority: u8) -> Notification {
        Notification { subject, name: name.to_owned(), slot: None, event, priority }
    }

    /// Expectations as observed of keepalived 2.2.7.
    #[test]
    fn lines_as_keepalived_writes_them() {
        for (subject, name, event, priority, line) in [
            (Subject::Instance, "A", Event::Master, 100, "INSTANCE \"A\" MASTER 100\n"),
            (Subject::Group, "G", Event::Backup, 0, "GROUP \"G\" BACKUP 0\n"),
            (Subject::Instance, "A", Event::Stop, 110, "INSTANCE \"A\" STOP 110\n"),
            (
                Subject::Instance,
                "A",
                Event::MasterRxLowerPri,
                100,
                "INSTANCE \"A\" MASTER_RX_LOWER_PRI 100\n",
            ),
            (Subject::Instance, "A", Event::MasterPriority, 110, "INSTANCE \"A\" MASTER_PRIORITY 110\n"),
        ] {
            assert_eq!(notification(subject, name, event, priority).line(), line);
        }
    }

    /// A notifier of one instance whose scripts append to a file.
    fn notifier(name: &str, keywords: &str) -> (Notifier, std::path::PathBuf) {
        let directory = std::env::temp_dir().join(format!("vrrp-notify-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let log = directory.join("log");
        let script = directory.join("note");
        std::fs::write(&script, format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display())).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let keywords = keywords.replace("NOTE", &script.display().to_string());
        let text = format!(
            "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n192.0.2.1\n}}\n{keywords}\n}}\n"
        );
        let config = crate::config::parse(&text).config.expect("a valid file");
        (Notifier::new(&config), directory)
    }

    async fn run(name: &str, keywords: &str, events: &[Event]) -> String {
        let (mut notifier, directory) = notifier(name, keywords);
        for &event in events {
            notifier.tell(&notification(Subject::Instance, "A", event, 100));
        }
        notifier.finish(Duration::from_secs(20)).await;
        let said = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        std::fs::remove_dir_all(directory).unwrap();
        said
    }

    #[tokio::test]
    async fn in_order_its_own_first() {
        process::identity::look_up([]).await;
        let keywords = "notify_master \"NOTE up\"\nnotify_backup \"NOTE down\"\nnotify \"NOTE any x\"";
        let said = run("order", keywords, &[Event::Backup, Event::Master, Event::Stop]).await;
        let expected =
            "down\nany x INSTANCE A BACKUP 100\nup\nany x INSTANCE A MASTER 100\nany x INSTANCE A STOP 100\n";
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn what_goes_on_in_a_state_has_no_arguments() {
        process::identity::look_up([]).await;
        let keywords =
            "notify_master_rx_lower_pri \"NOTE lower\"\nnotify \"NOTE any\"\nnotify_priority_changes";
        let said = run("lower", keywords, &[Event::MasterRxLowerPri, Event::MasterPriority]).await;
        assert_eq!(said, "lower\n");
    }

    #[tokio::test]
    async fn deletion_is_a_fault_unless_it_has_a_name() {
        process::identity::look_up([]).await;
        let said = run("fault", "notify_fault \"NOTE fault\"\nnotify NOTE", &[Event::Deleted]).await;
        assert_eq!(said, "fault\nINSTANCE A FAULT 100\n");
        let keywords = "notify_fault \"NOTE fault\"\nnotify NOTE\nnotify_deleted \"NOTE gone\"";
        let said = run("deleted", keywords, &[Event::Deleted]).await;
        assert_eq!(said, "gone\nINSTANCE A DELETED 100\n");
    }

    #[tokio::test]
    async fn a_queue_goes_on_over_a_reload() {
        process::identity::look_up([]).await;
        let (mut notifier, directory) = notifier("reload", "notify \"NOTE before\"");
        for _ in 0..5 {
            notifier.tell(&notification(Subject::Instance, "A", Event::Master, 100));
        }
        let text =
            "vrrp_instance B {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n";
        notifier.change(&crate::config::parse(text).config.unwrap(), &[]);
        notifier.finish(Duration::from_secs(20)).await;
        let said = std::fs::read_to_string(directory.join("log")).unwrap();
        assert_eq!(said.lines().count(), 5);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
