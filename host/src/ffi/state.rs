//! The state extension as a plugin has it: revision 2, or 1 of one that was built against contract 1.0.

use std::io::Read;

use hotbay_plugin_api::abi::{
    Instance, LentBytes, Limited, Pieces, PluginModuleRef, STATE_EXTENSION, STATE_EXTENSION_1,
    StateExtension, StateExtension1, Status, Window,
};
use hotbay_state::Opener;
use zeroize::Zeroizing;

use super::plugin::{Answer, answer};
use crate::error::chain;

/// The functions of a plugin's state.
#[derive(Clone, Copy)]
pub(super) enum StateTable {
    Current(&'static StateExtension),
    First(&'static StateExtension1),
}

/// What is lent to an export: memory that is there, and who takes what does not fit.
pub(crate) struct Lending<'a> {
    // What it holds is of no use any more.
    pub(crate) room: Vec<u8>,
    /// So much is written into memory before any of it goes to the sink.
    pub(crate) held: u64,
    /// What comes to the sink then has so many bytes, and the first time more.
    pub(crate) piece: usize,
    /// The most that is taken in all.
    pub(crate) max: u64,
    pub(crate) sink: &'a mut dyn FnMut(&[u8]) -> bool,
}

/// What became of an export.
pub(crate) struct Written {
    pub(crate) answer: Answer,
    /// What the sink did not get: all of it, where that is not much.
    pub(crate) rest: Zeroizing<Vec<u8>>,
    /// Whether there was more than is taken.
    pub(crate) exceeded: bool,
}

/// State on its way into a plugin.
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    /// Opened while it is read.
    Opener(&'a mut dyn NextChunk),
}

/// An [`Opener`] of whatever it reads from.
pub(crate) trait NextChunk {
    /// Puts the next chunk behind what is there; an empty one is the end.
    fn next_into(&mut self, piece: &mut Vec<u8>) -> Result<(), String>;
    /// How long the state is, where that is known.
    fn total(&self) -> Option<u64>;
}

impl<R: Read> NextChunk for Opener<R> {
    fn next_into(&mut self, piece: &mut Vec<u8>) -> Result<(), String> {
        let chunk = self.next_chunk().map_err(|error| chain(&error))?;
        piece.extend_from_slice(chunk.unwrap_or_default());
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        Some(self.header().plain_len).filter(|len| *len > 0).or(self.declared_len())
    }
}

impl StateTable {
    /// The newest that the plugin has and this host knows. Whoever keeps it keeps the library open (F4).
    pub(super) fn of(module: PluginModuleRef) -> Option<Self> {
        let ask = |(id, revision): (&str, u32)| (module.extension())(id.into(), revision);
        // SAFETY: F4; it was asked for in these words, and the caller keeps the answer beside the library.
        let current = unsafe { ask(STATE_EXTENSION).as_state() }.map(Self::Current);
        // SAFETY: as above.
        current.or_else(|| unsafe { ask(STATE_EXTENSION_1).as_state_1() }.map(Self::First))
    }

    pub(super) fn changes(self, instance: Instance) -> Result<Option<u64>, (Status, String)> {
        let Self::Current(table) = self else { return Ok(None) };
        let mut count = 0;
        answer(|error| (table.changes)(instance, &mut count, error)).map(|()| Some(count))
    }

    pub(super) fn export(self, instance: Instance, schema: u32, lending: Lending<'_>) -> Written {
        let Lending { mut room, held, piece, max, sink } = lending;
        room.clear();
        match self {
            Self::Current(table) => {
                let mut taken = 0_u64;
                let mut counted = |bytes: &[u8]| {
                    taken = taken.saturating_add(bytes.len() as u64);
                    taken <= max && sink(bytes)
                };
                // One byte more than is taken: what fills it is too much.
                let first = usize::try_from(held.min(max.saturating_add(1))).unwrap_or(usize::MAX);
                let mut window = Window::over(room, first, piece, &mut counted);
                let answer = {
                    let mut lent = window.lend();
                    // SAFETY: A2 of the contract; it stays where it is.
                    let out = unsafe { lent.out().into_raw() };
                    answer(|error| (table.export)(instance, schema, out, error))
                };
                let rest = Zeroizing::new(window.into_rest());
                let exceeded = taken.saturating_add(rest.len() as u64) > max;
                Written { answer, rest, exceeded }
            }
            // Of contract 1.0: it keeps what is written in the buffer to its end.
            Self::First(table) => {
                let mut limited = Limited::new(room, usize::try_from(max).unwrap_or(usize::MAX));
                let answer = {
                    let mut lent = limited.lend();
                    // SAFETY: A2 of the contract; it stays where it is.
                    let out = unsafe { lent.out().into_raw() };
                    answer(|error| (table.export)(instance, out, error))
                };
                let exceeded = limited.is_exceeded();
                Written { answer, rest: Zeroizing::new(limited.into_inner()), exceeded }
            }
        }
    }

    pub(super) fn import(self, instance: Instance, schema: u32, source: Source<'_>) -> Answer {
        match (self, source) {
            (_, Source::Bytes(bytes)) => self.import_bytes(instance, schema, bytes),
            (Self::Current(table), Source::Opener(opener)) => {
                let (total, mut why) = (opener.total(), None);
                let mut source = |piece: &mut Vec<u8>| {
                    why = opener.next_into(piece).err();
                    why.is_none()
                };
                let mut pieces = Pieces::new(total, &mut source);
                let answer = {
                    let mut lent = pieces.lend();
                    // SAFETY: A4 of the contract; it stays where it is.
                    let raw = unsafe { lent.source().into_raw() };
                    answer(|error| (table.import)(instance, schema, raw, error))
                };
                let at_end = pieces.finish();
                match (why, answer) {
                    (Some(why), _) => Err((Status::FAILED, format!("failed to {why}"))),
                    // Only at its end is it known to be whole.
                    (None, Ok(())) if !at_end => {
                        Err((Status::FAILED, "it did not read the state to its end".to_owned()))
                    }
                    (None, answer) => answer,
                }
            }
            // Of contract 1.0: it takes a state in one piece.
            (Self::First(_), Source::Opener(opener)) => {
                let mut whole = Zeroizing::new(Vec::new());
                loop {
                    let before = whole.len();
                    let next = opener.next_into(&mut whole);
                    next.map_err(|why| (Status::FAILED, format!("failed to {why}")))?;
                    if whole.len() == before {
                        return self.import_bytes(instance, schema, &whole);
                    }
                }
            }
        }
    }

    fn import_bytes(self, instance: Instance, schema: u32, bytes: &[u8]) -> Answer {
        let mut lent = LentBytes::new(bytes);
        // SAFETY: A4 of the contract; it stays where it is.
        let source = unsafe { lent.source().into_raw() };
        answer(|error| match self {
            Self::Current(table) => (table.import)(instance, schema, source, error),
            Self::First(table) => (table.import)(instance, schema, bytes.into(), error),
        })
    }
}
