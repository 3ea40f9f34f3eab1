//! A session with a master agent: the messages in it, one after the other.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::agentx::{self, Answer, Arrived, Ids, Malformed, Message, Said};

/// The time that a master agent may take for anything before the session is given up.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of bytes that are read at once: most questions are shorter.
const READ: usize = 4096;
/// The seconds that the master agent gives us for an answer.
const TIMEOUT: u8 = 5;

/// The reason why a session is over, or was not begun.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The system's reason.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The master agent's messages are not understood.
    #[error("it does not speak AgentX: {0}")]
    Malformed(#[from] Malformed),
    /// The master agent refuses the session.
    #[error("it refuses the session: error {0}")]
    Refused(u16),
    /// The master agent has closed the session.
    #[error("it has closed the session: reason {0}")]
    Closed(u8),
    /// The master agent takes too long.
    #[error("it does not answer")]
    Slow,
}

/// A session.
pub(super) struct Session<S> {
    stream: S,
    /// Bytes that have arrived and are not decoded yet.
    arrived: Vec<u8>,
    id: u32,
    /// The number of the last message.
    packet: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Opens a session.
    pub(super) async fn open(stream: S) -> Result<Self, Lost> {
        let mut session = Self { stream, arrived: Vec::new(), id: 0, packet: 0 };
        session.say(&Message::Open { timeout: TIMEOUT, description: "vrrp-agent" }).await?;
        let Arrived { ids, said } =
            timeout(REPLY_TIMEOUT, session.hear()).await.map_err(|_elapsed| Lost::Slow)??;
        match said {
            Said::Response(0) => session.id = ids.session,
            Said::Response(error) => return Err(Lost::Refused(error)),
            // No other message can come first.
            _ => return Err(Lost::Slow),
        }
        Ok(session)
    }

    /// Sends a message that is no answer, and returns its number.
    pub(super) async fn say(&mut self, message: &Message<'_>) -> Result<u32, Lost> {
        self.packet = self.packet.wrapping_add(1);
        let ids = Ids { session: self.id, transaction: 0, packet: self.packet };
        self.send(&agentx::encode(ids, message)).await?;
        Ok(self.packet)
    }

    /// Answers a question.
    pub(super) async fn reply(&mut self, ids: Ids, answer: Answer) -> Result<(), Lost> {
        self.send(&agentx::encode(ids, &Message::Response(answer))).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        Ok(timeout(REPLY_TIMEOUT, self.stream.write_all(bytes)).await.map_err(|_elapsed| Lost::Slow)??)
    }

    /// Receives the next message. The future may be dropped and a new one begun: no bytes are lost.
    pub(super) async fn hear(&mut self) -> Result<Arrived, Lost> {
        loop {
            if let Some((arrived, length)) = agentx::decode(&self.arrived)? {
                self.arrived.drain(..length);
                return Ok(arrived);
            }
            self.arrived.reserve(READ);
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Closes the session.
    pub(super) async fn close(mut self) -> Result<(), Lost> {
        self.say(&Message::Close).await?;
        // The session is over, whether this succeeds or not.
        let _gone = self.stream.shutdown().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// A master agent's answer: the header of RFC 2741 section 6.1, then up-time, error and index.
    fn response(session: u32, error: u16) -> Vec<u8> {
        let words = [session, 0, 1, 8, 0].map(u32::to_be_bytes).concat();
        [&[1, 18, 16, 0], &words[..], &error.to_be_bytes(), &[0, 0]].concat()
    }

    #[tokio::test]
    async fn opened_and_closed() {
        let (ours, mut theirs) = duplex(1024);
        theirs.write_all(&response(7, 0)).await.unwrap();
        let session = Session::open(ours).await.unwrap();
        assert_eq!(session.id, 7);
        session.close().await.unwrap();
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        assert_eq!(said[1], 1);
        let close =
            [vec![1, 2, 16, 0], [7, 0, 2, 4].map(u32::to_be_bytes).concat(), vec![5, 0, 0, 0]].concat();
        assert_eq!(said[said.len() - 24..], close);
    }

    #[tokio::test]
    async fn a_message_in_pieces() {
        let (ours, mut theirs) = duplex(1024);
        theirs.write_all(&response(7, 0)).await.unwrap();
        let mut session = Session::open(ours).await.unwrap();
        for byte in response(7, 263) {
            assert!(timeout(Duration::from_millis(1), session.hear()).await.is_err());
            theirs.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(session.hear().await.unwrap().said, Said::Response(263));
    }

    #[tokio::test]
    async fn not_wanted() {
        for (answer, expected) in [
            (response(0, 256), "it refuses the session: error 256"),
            (vec![b'x'; 20], "it does not speak AgentX: a message has version 120 instead of 1"),
        ] {
            let (ours, mut theirs) = duplex(1024);
            theirs.write_all(&answer).await.unwrap();
            let lost = Session::open(ours).await.err().expect("a refusal");
            assert_eq!(lost.to_string(), expected);
        }
    }
}
