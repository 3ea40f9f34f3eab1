//! Mail about changes of state. The queue is in memory and outlasts a mail server that is away for a while.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Event, Notification, Subject, next};
use crate::config::Mail;
use crate::host;
use crate::process::identity;

/// The number of mails that wait while the server is away.
const WAITING_MAX: usize = 256;
/// The pause from one try to the next: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a mail is tried that a server puts off. The mails behind it want their turn.
const PUT_OFF: Duration = Duration::from_secs(3600);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Writes mail, and has it sent.
#[derive(Debug)]
pub(super) struct Mailer {
    settings: Mail,
    router_id: Option<String>,
    from: Mailbox,
    to: Vec<Mailbox>,
    mails: Sender<Message>,
    task: JoinHandle<()>,
}

impl Mailer {
    /// Returns `None` if there is no address to send from or to, which is logged.
    pub(super) fn new(settings: &Mail, router_id: Option<&str>) -> Option<Self> {
        let host = host::name();
        let from = mailbox(&settings.from.clone().unwrap_or_else(identity::own_name), &host)?;
        let to: Vec<Mailbox> = settings.to.iter().filter_map(|text| mailbox(text, &host)).collect();
        if to.is_empty() {
            tracing::error!("no mail is sent, because `notification_email` has no valid address");
            return None;
        }
        let helo = settings.helo.clone().unwrap_or(host);
        let transport = Transport::builder_dangerous(&settings.server)
            .port(settings.port)
            .hello_name(ClientId::Domain(helo))
            .timeout(Some(settings.timeout))
            .build();
        let (mails, queue) = channel(WAITING_MAX);
        let task = tokio::spawn(deliver(transport, 2 * settings.timeout, queue));
        Some(Self {
            settings: settings.clone(),
            router_id: router_id.map(str::to_owned),
            from,
            to,
            mails,
            task,
        })
    }

    /// Returns true if mail is to be sent by these settings.
    pub(super) fn is(&self, settings: Option<&Mail>, router_id: Option<&str>) -> bool {
        Some(&self.settings) == settings && self.router_id.as_deref() == router_id
    }

    /// Puts a mail into the queue. Only changes of state are mailed.
    pub(super) fn send(&self, notification: &Notification) {
        let router = self.router_id.clone().unwrap_or_else(host::name);
        let Some((subject, text)) = write(&router, notification, self.settings.faults) else { return };
        let mut builder = Message::builder().from(self.from.clone()).subject(subject).date_now();
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let mailer = HeaderValue::new(HeaderName::new_from_ascii_str("X-Mailer"), "vrrp-agent".to_owned());
        match builder.raw_header(mailer).body(text) {
            Ok(mail) => {
                // The task only ends after the queue.
                let _never = self.mails.send(mail);
            }
            Err(error) => tracing::error!("mail cannot be written: {error}"),
        }
    }

    /// Sends the mails that wait, until the given time.
    pub(super) async fn finish(self, until: Instant) {
        let Self { mails, mut task, .. } = self;
        drop(mails);
        if timeout_at(until, &mut task).await.is_err() {
            tracing::warn!("the last mails are lost, because the mail server did not take them in time");
            task.abort();
        }
    }
}

/// Returns subject and text, both as keepalived's.
fn write(router: &str, notification: &Notification, faults: bool) -> Option<(String, String)> {
    let Notification { subject, name, event, .. } = notification;
    match event {
        Event::Master | Event::Backup => {}
        Event::Fault if faults => {}
        Event::Fault
        | Event::Stop
        | Event::Deleted
        | Event::MasterRxLowerPri
        | Event::MasterPriority
        | Event::BackupPriority => return None,
    }
    let state = event.word();
    let (kind, text) = match (subject, event) {
        (Subject::Group, _) => ("Group", format!("All VRRP group instances are now in {state} state")),
        (Subject::Instance, Event::Master) => {
            ("Instance", "VRRP Instance is now owning VRRP VIPs".to_owned())
        }
        (Subject::Instance, _) => ("Instance", "VRRP Instance is no longer owning VRRP VIPs".to_owned()),
    };
    Some((format!("[{router}] VRRP {kind} {name} - Entering {state} state"), format!("=> {text} <=\r\n")))
}

/// Reads an address. An address without a domain is of this host.
fn mailbox(text: &str, host: &str) -> Option<Mailbox> {
    let whole = if text.contains('@') { text.to_owned() } else { format!("{text}@{host}") };
    match whole.parse() {
        Ok(mailbox) => Some(mailbox),
        Err(error) => {
            tracing::error!("mail address `{text}` is not used: {error}");
            None
        }
    }
}

/// Sends the mails of a queue, one after the other, each until it is taken or refused for good.
async fn deliver(transport: Transport, limit: Duration, mut mails: Receiver<Message>) {
    while let Some(mail) = next(&mut mails, "mail").await {
        let begun = Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            let problem = match timeout(limit, transport.send(mail.clone())).await {
                Ok(Ok(_taken)) => break,
                Ok(Err(error)) if error.is_permanent() => {
                    tracing::error!("the mail server refuses a mail, which is lost: {error}");
                    break;
                }
                Ok(Err(error)) if error.is_transient() && begun.elapsed() > PUT_OFF => {
                    tracing::error!(
                        "the mail server has put off a mail for too long, and the mail is lost: {error}"
                    );
                    break;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => format!("no answer within {limit:?}"),
            };
            if pause == PAUSE_MIN {
                tracing::warn!("mail cannot be sent yet: {problem}; the agent tries again");
            }
            sleep(pause).await;
            pause = PAUSE_MAX.min(2 * pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    fn notification(subject: Subject, name: &str, event: Event) -> Notification {
        Notification { subject, name: name.to_owned(), slot: None, event, priority: 100 }
    }

    /// Expectations as observed of keepalived 2.2.7.
    #[test]
    fn written_as_keepalived_writes_it() {
        for (subject, name, event, title, text) in [
            (
                Subject::Instance,
                "A",
                Event::Master,
                "Instance A - Entering MASTER",
                "VRRP Instance is now owning VRRP VIPs",
            ),
            (
                Subject::Instance,
                "A",
                Event::Backup,
                "Instance A - Entering BACKUP",
                "VRRP Instance is no longer owning VRRP VIPs",
            ),
            (
                Subject::Instance,
                "A",
                Event::Fault,
                "Instance A - Entering FAULT",
                "VRRP Instance is no longer owning VRRP VIPs",
            ),
            (
                Subject::Group,
                "G",
                Event::Master,
                "Group G - Entering MASTER",
                "All VRRP group instances are now in MASTER state",
            ),
            (
                Subject::Group,
                "G",
                Event::Fault,
                "Group G - Entering FAULT",
                "All VRRP group instances are now in FAULT state",
            ),
        ] {
            let expected = (format!("[RID] VRRP {title} state"), format!("=> {text} <=\r\n"));
            assert_eq!(write("RID", &notification(subject, name, event), true), Some(expected));
        }
    }

    #[test]
    fn only_states_are_mailed_and_faults_not_always() {
        for event in [Event::Stop, Event::Deleted, Event::MasterRxLowerPri, Event::MasterPriority] {
            assert_eq!(write("RID", &notification(Subject::Instance, "A", event), true), None);
        }
        assert_eq!(write("RID", &notification(Subject::Group, "G", Event::Fault), false), None);
        assert!(write("RID", &notification(Subject::Group, "G", Event::Backup), false).is_some());
    }

    #[test]
    fn an_address_without_a_domain_is_of_this_host() {
        assert_eq!(mailbox("root", "lb1").unwrap().email.to_string(), "root@lb1");
        assert_eq!(mailbox("ops@example.org", "lb1").unwrap().email.to_string(), "ops@example.org");
        assert!(mailbox("@", "lb1").is_none());
    }

    /// Serves one connection as a mail server that takes one mail; returns the lines that it got.
    async fn serve(listener: &TcpListener) -> Vec<String> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 here\r\n").await.unwrap();
        let (mut said, mut in_data) = (Vec::new(), false);
        while let Some(line) = lines.next_line().await.unwrap() {
            let answer: &[u8] = match line.as_str() {
                "." => b"250 taken\r\n",
                _ if in_data => b"",
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => b"250 fine\r\n",
            };
            in_data = line == "DATA" || (in_data && line != ".");
            let quit = line == "QUIT";
            said.push(line);
            write.write_all(answer).await.unwrap();
            if quit || said.last().is_some_and(|line| line == ".") {
                break;
            }
        }
        said
    }

    #[tokio::test]
    async fn mail_outlasts_a_server_that_is_away() {
        // A port on which no server listens yet.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let settings = Mail {
            to: vec!["ops@example.org".to_owned(), "root".to_owned()],
            from: Some("vrrp@example.org".to_owned()),
            server: "127.0.0.1".to_owned(),
            port: address.port(),
            timeout: Duration::from_secs(3),
            helo: Some("lb1".to_owned()),
            faults: true,
        };
        let mailer = Mailer::new(&settings, Some("RID")).unwrap();
        mailer.send(&notification(Subject::Instance, "A", Event::Master));
        mailer.send(&notification(Subject::Group, "G", Event::Backup));
        sleep(PAUSE_MIN / 2).await;
        let listener = TcpListener::bind(address).await.unwrap();
        let first = timeout(Duration::from_secs(20), serve(&listener)).await.expect("it is tried again");
        let second = timeout(Duration::from_secs(20), serve(&listener)).await.expect("and the next follows");
        for line in [
            "EHLO lb1",
            "MAIL FROM:<vrrp@example.org>",
            "RCPT TO:<ops@example.org>",
            "Subject: [RID] VRRP Instance A - Entering MASTER state",
            "X-Mailer: vrrp-agent",
            "=> VRRP Instance is now owning VRRP VIPs <=",
        ] {
            assert!(first.iter().any(|said| said.starts_with(line)), "{line}: {first:?}");
        }
        assert!(
            second.iter().any(|line| line.contains("VRRP Group G - Entering BACKUP state")),
            "{second:?}"
        );
        mailer.finish(Instant::now() + Duration::from_secs(1)).await;
    }
}
