//! Waiting for what gives no sign: looking, in growing steps.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

/// For so long nobody pauses who looks: a pause takes as long, and where the system rounds it, many times that.
const AT_ONCE: Duration = Duration::from_micros(10);

/// Looks until `look` finds, `deadline` at most. The first pause is short, for what is about to come; each is twice the one
/// before, up to the longest, for what takes its time.
pub(crate) fn look_until<T>(
    deadline: Duration,
    first: Duration,
    longest: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let begun = Instant::now();
    let mut pause = first;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        let waited = begun.elapsed();
        if waited >= deadline {
            return None;
        }
        if waited < AT_ONCE {
            std::hint::spin_loop();
            continue;
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(longest);
    }
}

/// For so long who waits for an answer that is about to come offers its processor to others, and does not sleep: to be woken takes as
/// long as many an answer does.
const SOON: Duration = Duration::from_micros(60);

/// Waits for what another thread sends, which is expected soon.
pub(crate) fn receive_soon<T>(from: &Receiver<T>, deadline: Duration) -> Result<T, RecvTimeoutError> {
    let begun = Instant::now();
    loop {
        match from.try_recv() {
            Ok(came) => return Ok(came),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let waited = begun.elapsed();
        if waited >= SOON.min(deadline) {
            return from.recv_timeout(deadline.saturating_sub(waited));
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_waits_for_an_answer_hears_it_or_that_there_will_be_none_or_that_it_is_late() {
        let (send, receive) = mpsc::channel();
        for deadline in [Duration::ZERO, SOON / 2, 2 * SOON] {
            let begun = Instant::now();
            assert_eq!(receive_soon(&receive, deadline), Err(RecvTimeoutError::Timeout));
            assert!(begun.elapsed() >= deadline);
        }
        let answer = std::thread::spawn(move || send.send(7).unwrap());
        assert_eq!(receive_soon(&receive, crate::linked::LONG), Ok(7));
        answer.join().unwrap();
        assert_eq!(receive_soon(&receive, crate::linked::LONG), Err(RecvTimeoutError::Disconnected));
    }
}
