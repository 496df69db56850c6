//! The trace: W3C trace context, by which programs of several makers tell that what they do belongs together.
//!
//! A request or a message that brings one hands it on to whatever follows from it: the thread that is at it has it, and what that
//! thread asks or publishes takes it along. None is begun here: where nobody asked for one, nothing is carried.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use super::Headers;

/// The headers that carry it, in small letters as in HTTP/2: names of headers of messages are told apart by them.
pub(crate) const PARENT: &str = "traceparent";
pub(crate) const STATE: &str = "tracestate";

/// Longer lists of the makers' own may be left out.
const LONGEST_STATE: usize = 512;

/// Which trace something belongs to, and which step of it led here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    step: [u8; 8],
    flags: u8,
    state: Option<Arc<str>>,
}

impl Trace {
    /// Reads the headers `traceparent` and, where there is one, `tracestate`. `None` of what is not as the standard has it: then it is
    /// as if there were none.
    #[must_use]
    pub fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.trim().split('-');
        let [version] = bytes(parts.next()?)?;
        let (id, step) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let [flags] = bytes(parts.next()?)?;
        // A later version may have more behind it.
        let is_known = version != 0xff && (version != 0 || parts.next().is_none());
        let is_plain =
            |state: &&str| state.len() <= LONGEST_STATE && state.bytes().all(|b| (b' '..=b'~').contains(&b));
        let state = state.map(str::trim).filter(|state| !state.is_empty()).filter(is_plain).map(Into::into);
        (is_known && id != [0; 16] && step != [0; 8]).then_some(Self { id, step, flags, state })
    }

    /// The one that a message brings.
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        Self::read(headers.get(PARENT)?, headers.get(STATE))
    }

    /// Its name: 32 digits, the same along all of its steps.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// What the makers put beside it.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The same trace, one step further.
    #[must_use]
    pub fn next(&self) -> Self {
        // Keys of their own for each: no two are alike but by an odd chance, which the standard allows.
        let step = RandomState::new().build_hasher().finish().max(1).to_be_bytes();
        Self { step, ..self.clone() }
    }

    /// Runs `body` as a step of this trace: what it asks or publishes on this thread belongs to it.
    pub fn within<R>(self, body: impl FnOnce() -> R) -> R {
        within_trace(Some(self), body)
    }

    /// The one that this thread is within.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }
}

/// As `traceparent` has it.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex(&self.id), hex(&self.step), self.flags)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// Touches what a thread keeps here, which it need not do later.
pub(super) fn settle() {
    let _ = CURRENT.try_with(|_| ());
}

/// Runs `body` within this trace, or within none.
pub(crate) fn within_trace<R>(trace: Option<Trace>, body: impl FnOnce() -> R) -> R {
    struct Before(Option<Trace>);
    impl Drop for Before {
        fn drop(&mut self) {
            let before = self.0.take();
            let _ = CURRENT.try_with(|current| drop(current.replace(before)));
        }
    }
    let before = CURRENT.try_with(|current| current.replace(trace)).ok().flatten();
    let _before = Before(before);
    body()
}

/// The headers of a message that this thread publishes: one that says nothing of a trace belongs to that of the thread.
pub(super) fn along(headers: Headers) -> Headers {
    let Some(trace) = Trace::current().filter(|_| headers.get(PARENT).is_none()) else { return headers };
    let (parent, state) = (trace.next().to_string(), trace.state());
    let own = [Some((PARENT, parent.as_str())), state.map(|state| (STATE, state))];
    Headers::new(headers.iter().chain(own.into_iter().flatten()))
}

/// Small letters only, as the standard has it.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut all = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (place, pair) in all.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *place = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(all)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_the_standard_allows_is_read_and_written_the_same_and_nothing_else_is_read() {
        let trace = Trace::read(ONE, Some("rojo=1,congo=2")).unwrap();
        assert_eq!((trace.to_string().as_str(), trace.state()), (ONE, Some("rojo=1,congo=2")));
        assert_eq!(trace.id(), "0af7651916cd43dd8448eb211c80319c");
        // A later version is read as far as it is known.
        assert!(Trace::read(&format!("cc{}-what", &ONE[2..]), None).is_some());
        for wrong in [
            "",
            "00",
            &ONE[1..],
            &ONE[..54],
            &format!("{ONE}-what"),
            &format!("ff{}", &ONE[2..]),
            &ONE.to_uppercase(),
            &ONE.replace('b', "g"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert_eq!(Trace::read(wrong, None), None, "{wrong}");
        }
        let odd = Trace::read(ONE, Some(&"x".repeat(513))).unwrap();
        assert_eq!((odd.state(), Trace::read(ONE, Some("a\u{7}")).unwrap().state()), (None, None));
    }

    #[test]
    fn a_step_is_of_the_same_trace_and_no_two_are_alike() {
        let trace = Trace::read(ONE, None).unwrap();
        let (first, second) = (trace.next(), trace.next());
        assert_eq!((first.id(), second.id()), (trace.id(), trace.id()));
        assert!(first != trace && first != second);
    }

    #[test]
    fn a_thread_is_within_a_trace_until_it_comes_out_also_by_a_panic() {
        assert_eq!(Trace::current(), None);
        let trace = Trace::read(ONE, None).unwrap();
        trace.clone().within(|| {
            within_trace(None, || assert_eq!(Trace::current(), None));
            assert_eq!(Trace::current(), Some(trace.clone()));
        });
        let _ = std::panic::catch_unwind(|| Trace::read(ONE, None).unwrap().within(|| panic!("on purpose")));
        assert_eq!(Trace::current(), None);
    }

    #[test]
    fn what_is_published_within_a_trace_takes_it_along_unless_it_says_another() {
        let own = Headers::new([("tenant", "blue")]);
        assert_eq!(along(own.clone()), own, "there is none");
        let trace = Trace::read(ONE, Some("rojo=1")).unwrap();
        trace.clone().within(|| {
            let taken = along(own.clone());
            let read = Trace::of(&taken).unwrap();
            assert_eq!(
                (read.id(), read.state(), taken.get("tenant")),
                (trace.id(), Some("rojo=1"), Some("blue"))
            );
            assert_ne!(read, trace, "a step of its own");
            let said = Headers::new([(PARENT, ONE)]);
            assert_eq!(along(said.clone()), said);
        });
    }
}
