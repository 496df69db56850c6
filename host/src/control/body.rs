//! What a client sends behind its request, of any length, on its way to who answers.

use std::io::{self, Read};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::frame;

/// Pieces on their way: a host that is slow to write makes the client wait, and not its own memory grow.
const IN_FLIGHT: usize = 4;

/// What a client must send in a second, over all, beside a first while.
const PACE: u64 = 1 << 20;

type Piece = io::Result<Zeroizing<Vec<u8>>>;

/// The reading end, for a thread that may block.
pub(super) struct Body {
    pieces: mpsc::Receiver<Piece>,
    piece: Zeroizing<Vec<u8>>,
    given: usize,
    ended: bool,
}

/// The end that is fed from a connection.
pub(super) struct Feed(mpsc::Sender<Piece>);

pub(super) fn channel() -> (Feed, Body) {
    let (sender, pieces) = mpsc::channel(IN_FLIGHT);
    (Feed(sender), Body { pieces, piece: Zeroizing::default(), given: 0, ended: false })
}

impl Feed {
    /// Hands on what comes, up to its end. The client has `patience`, and a second more for each [`PACE`] of bytes; the time that the
    /// host takes is not counted.
    pub(super) async fn take(self, from: &mut (impl AsyncRead + Unpin), patience: Duration) {
        let (mut left, mut received) = (patience, 0);
        loop {
            let mut piece = Zeroizing::new(Vec::new());
            let asked = Instant::now();
            let read = timeout(left, frame::read_piece(from, &mut piece)).await;
            left = left.saturating_sub(asked.elapsed());
            let piece = match read {
                Ok(Ok(())) => Ok(piece),
                Ok(Err(error)) => Err(io::Error::other(error)),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends it too slowly")),
            };
            let len = piece.as_ref().map_or(0, |piece| piece.len());
            received += len as u64;
            left += Duration::from_secs(received / PACE);
            received %= PACE;
            if self.0.send(piece).await.is_err() || len == 0 {
                return;
            }
        }
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.piece.len() && !self.ended {
            let next = self.pieces.blocking_recv();
            self.piece = next.ok_or(io::ErrorKind::UnexpectedEof)??;
            (self.given, self.ended) = (0, self.piece.is_empty());
        }
        let rest = &self.piece[self.given..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passed(wire: &mut (impl AsyncRead + Unpin), patience: Duration) -> io::Result<Vec<u8>> {
        let (feed, mut body) = channel();
        let reading = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            body.read_to_end(&mut all).map(|_| all)
        });
        feed.take(wire, patience).await;
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn what_comes_in_pieces_is_read_to_its_end_and_half_of_it_is_an_error() {
        let mut wire = Vec::new();
        let pieces: Vec<Vec<u8>> = (0..20).map(|piece| vec![piece; 1 + 1000 * usize::from(piece)]).collect();
        for piece in &pieces {
            frame::write_piece(&mut wire, piece).await.unwrap();
        }
        frame::write_piece(&mut wire, b"").await.unwrap();
        let long = Duration::from_secs(60);
        assert_eq!(passed(&mut &wire[..], long).await.unwrap(), pieces.concat());
        for cut in [1, 3, 4, 100] {
            passed(&mut &wire[..wire.len() - cut], long).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_client_that_sends_a_byte_now_and_then_is_not_waited_for_for_ever() {
        let (mut client, mut host) = tokio::io::duplex(64);
        let sending = tokio::spawn(async move {
            for sent in 0.. {
                tokio::time::sleep(Duration::from_millis(90)).await;
                if frame::write_piece(&mut client, b"x").await.is_err() {
                    return sent;
                }
            }
            unreachable!("it does not end by itself")
        });
        let (feed, mut body) = channel();
        feed.take(&mut host, Duration::from_millis(200)).await;
        drop(host);
        assert!(sending.await.unwrap() < 10);
        let mut all = Vec::new();
        let error =
            tokio::task::spawn_blocking(move || body.read_to_end(&mut all)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
