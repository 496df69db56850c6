//! State out of a plugin and into one. What is not long goes through memory that is there; what is longer is sealed into a draft
//! while the plugin still writes, and opened chunk by chunk while it reads.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;
use hotbay_state::{Draft, Drafting, HELD, Opener};

use super::{CallbackError, Plain, lane_error, on_lane, words};
use crate::error::{Code, Trouble};
use crate::fault;
use crate::ffi::{Lending, Source, Written};
use crate::kernel::generation::Generation;
use crate::kernel::lane::LaneError;
use crate::kernel::patience::receive_soon;
use crate::swap::guarded;

/// What is sealed in one go while the plugin writes on.
const PIECE: usize = 1 << 20;

/// As many pieces wait to be sealed, at most.
const AHEAD: usize = 2;

/// A callback that has so much state before it is given its time once more.
const PER_DEADLINE: u64 = 256 << 20;

/// State that a plugin wrote.
#[derive(Debug)]
pub(crate) enum Exported {
    Held(Plain),
    Drafted(Drafted),
}

/// State that was sealed while it was written.
#[derive(Debug)]
pub(crate) struct Drafted {
    pub(crate) draft: Arc<Draft>,
    pub(crate) digest: blake3::Hash,
}

impl Exported {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Exported::Held(plain) => plain.len() as u64,
            Exported::Drafted(drafted) => drafted.draft.header().plain_len,
        }
    }

    pub(crate) fn digest(&self) -> blake3::Hash {
        match self {
            Exported::Held(plain) => blake3::hash(plain),
            Exported::Drafted(drafted) => drafted.digest,
        }
    }
}

/// State on its way into a plugin.
#[derive(Debug)]
pub(crate) enum Incoming {
    Held(Plain),
    /// With what keeps the file, if that is a draft.
    Opened(Box<Opener<File>>, Option<Arc<Draft>>),
}

impl Incoming {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Incoming::Held(plain) => plain.len() as u64,
            Incoming::Opened(opener, _) => opener.header().plain_len,
        }
    }

    /// Hands it to `import`, and gives memory that it was in back.
    fn give<T>(
        self,
        import: impl FnOnce(Source<'_>) -> Result<T, (Status, String)>,
    ) -> Result<(Plain, T), (Status, String)> {
        match self {
            Incoming::Held(plain) => import(Source::Bytes(&plain)).map(|done| (plain, done)),
            Incoming::Opened(mut opener, _kept) => {
                import(Source::Opener(&mut *opener)).map(|done| (Plain::default(), done))
            }
        }
    }
}

/// Where exported state goes.
pub(crate) struct Taking<'a> {
    /// Memory that is there.
    pub(crate) room: Plain,
    /// The most that is taken.
    pub(crate) max: u64,
    /// Begins a draft, for what is long.
    pub(crate) draft: &'a dyn Fn() -> Result<Drafting, Trouble>,
}

/// Takes the plugin's state.
pub(crate) fn export(
    generation: &Arc<Generation>,
    taking: Taking<'_>,
    deadline: Duration,
) -> Result<Exported, CallbackError> {
    export_in(generation, generation.schema(), taking, deadline)
}

/// The same in this schema: its own, or one that it goes back to.
pub(crate) fn export_in(
    generation: &Arc<Generation>,
    schema: u32,
    taking: Taking<'_>,
    deadline: Duration,
) -> Result<Exported, CallbackError> {
    let body = move |inside: &Arc<Generation>, lending: Lending<'_>| inside.plugin.export(schema, lending);
    export_of(generation, "export", taking, deadline, body)
}

/// How long the state is that the plugin would write, counted up to what is held in memory, and to the `max` that is taken.
pub(crate) fn size(
    generation: &Arc<Generation>,
    schema: u32,
    max: u64,
    deadline: Duration,
) -> Result<u64, CallbackError> {
    const PIECE: usize = 1 << 16;
    let max = max.min(HELD);
    let body = move |inside: &Arc<Generation>| {
        let mut counted = 0_u64;
        let mut sink = |bytes: &[u8]| {
            counted += bytes.len() as u64;
            true
        };
        let lending = Lending { room: Vec::new(), held: PIECE as u64, piece: PIECE, max, sink: &mut sink };
        let written = inside.plugin.export(schema, lending);
        let bytes = counted + written.rest.len() as u64;
        if written.exceeded { Ok(max) } else { written.answer.map(|()| bytes) }
    };
    on_lane(generation, "export for its size", deadline, body, drop)
}

/// What the lane tells of an export.
enum Message {
    Piece(Plain),
    End(Result<Written, (Status, String)>),
}

/// Takes the state that `body` writes on the generation's lane: there the plugin writes, here it is sealed.
pub(crate) fn export_of(
    generation: &Arc<Generation>,
    callback: &'static str,
    taking: Taking<'_>,
    deadline: Duration,
    body: impl FnOnce(&Arc<Generation>, Lending<'_>) -> Written + Send + 'static,
) -> Result<Exported, CallbackError> {
    let Taking { mut room, max, draft } = taking;
    let room = std::mem::take(&mut *room);
    let (send, receive) = mpsc::sync_channel(AHEAD);
    let stopped = Arc::new(AtomicBool::new(false));
    let (inside, stop) = (Arc::clone(generation), Arc::clone(&stopped));
    let job = move || {
        let fault = fault::point(callback, &inside.name).map_err(|e| (Status::FAILED, e.to_string()));
        let end = fault.map(|()| {
            // Nobody listens any more to who comes late.
            let send = |piece: &[u8]| send.send(Message::Piece(Plain::new(piece.to_vec()))).is_ok();
            let mut sink =
                |bytes: &[u8]| bytes.chunks(PIECE).all(|piece| !stop.load(Ordering::Relaxed) && send(piece));
            body(&inside, Lending { room, held: HELD, piece: PIECE, max, sink: &mut sink })
        });
        // Before the answer is sent: whoever gets it may want to be the last that holds the generation.
        drop(inside);
        let _ = send.send(Message::End(end));
    };
    let lost = |error: &LaneError| lane_error(callback, deadline, error);
    let begun = generation.lane.begin(job, drop).map_err(|error| lost(&error))?;
    let mut sealing = Sealing { service: &generation.name, begin: draft, drafting: None, taken: 0 };
    let (mut waited, mut failed) = (Duration::ZERO, None);
    let end = loop {
        // What is counted is the plugin's time, not the host's.
        let asked = Instant::now();
        let message = receive_soon(&receive, patience(deadline, sealing.taken).saturating_sub(waited));
        waited += asked.elapsed();
        match message {
            Ok(Message::End(end)) => break end,
            Ok(Message::Piece(_)) if failed.is_some() => {}
            Ok(Message::Piece(piece)) => {
                if let Err(why) = guarded("seal", || sealing.take(&piece)) {
                    stopped.store(true, Ordering::Relaxed);
                    failed = Some(why);
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                drop(receive);
                let given_up = begun.done(Duration::ZERO).err().unwrap_or(LaneError::TimedOut);
                return Err(lost(&given_up));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(lost(&LaneError::Closed)),
        }
    };
    let Written { answer, rest, exceeded } = end.map_err(|failure| words(callback, failure))?;
    // Also when the plugin does not mind: what it wrote then is not all.
    if exceeded {
        return Err(too_large(generation, max));
    }
    if let Some(why) = failed {
        return Err(CallbackError::Prevented { callback, why });
    }
    answer.map_err(|failure| words(callback, failure))?;
    guarded("seal", || sealing.end(rest)).map_err(|why| CallbackError::Prevented { callback, why })
}

/// Takes what is held in memory, on this thread; `None` where it is longer than that.
pub(crate) fn export_here(
    generation: &Generation,
    schema: u32,
    mut room: Plain,
    max: u64,
) -> Result<Option<Plain>, CallbackError> {
    let mut is_long = false;
    let mut sink = |_: &[u8]| {
        is_long = true;
        false
    };
    let room = std::mem::take(&mut *room);
    let lending = Lending { room, held: HELD, piece: PIECE, max, sink: &mut sink };
    let Written { answer, rest, exceeded } = generation.plugin.export(schema, lending);
    if is_long {
        return Ok(None);
    }
    if exceeded {
        return Err(too_large(generation, max));
    }
    answer.map(|()| Some(rest)).map_err(|failure| words("export", failure))
}

fn too_large(generation: &Generation, max: u64) -> CallbackError {
    CallbackError::TooLarge { plugin: generation.name.to_string(), max }
}

/// How long a callback with so much state is waited for.
fn patience(deadline: Duration, bytes: u64) -> Duration {
    deadline.saturating_mul(u32::try_from(1 + bytes / PER_DEADLINE).unwrap_or(u32::MAX))
}

/// A draft that grows by pieces.
struct Sealing<'a> {
    service: &'a str,
    begin: &'a dyn Fn() -> Result<Drafting, Trouble>,
    drafting: Option<(Drafting, blake3::Hasher)>,
    taken: u64,
}

impl Sealing<'_> {
    fn take(&mut self, piece: &[u8]) -> Result<(), Trouble> {
        let (drafting, hasher) = match &mut self.drafting {
            Some(drafting) => drafting,
            none => none.insert(((self.begin)()?, blake3::Hasher::new())),
        };
        let full = |e| format!("failed to write the draft of a snapshot: {e}");
        let full = |e| Trouble::new(Code::StateNotWritten, full(e));
        fault::point("draft", self.service).map_err(full)?;
        drafting.push(piece)?;
        hasher.update(piece);
        self.taken += piece.len() as u64;
        Ok(())
    }

    fn end(mut self, rest: Plain) -> Result<Exported, Trouble> {
        if self.drafting.is_some() {
            self.take(&rest)?;
        }
        let Some((drafting, hasher)) = self.drafting else { return Ok(Exported::Held(rest)) };
        let draft = drafting.finish()?;
        Ok(Exported::Drafted(Drafted { draft: Arc::new(draft), digest: hasher.finalize() }))
    }
}

/// Gives state to a plugin that was never started, and brings memory that it was in back.
pub(crate) fn import(
    generation: &Arc<Generation>,
    schema: u32,
    state: Incoming,
    deadline: Duration,
) -> Result<Plain, CallbackError> {
    let body = move |inside: &Arc<Generation>, source: Source<'_>| inside.plugin.import(schema, source);
    import_of(generation, "import", state, deadline, body).map(|(plain, ())| plain)
}

/// The same to whom `body` imports into.
pub(crate) fn import_of<T: Send + 'static>(
    generation: &Arc<Generation>,
    callback: &'static str,
    state: Incoming,
    deadline: Duration,
    body: impl FnOnce(&Arc<Generation>, Source<'_>) -> Result<T, (Status, String)> + Send + 'static,
) -> Result<(Plain, T), CallbackError> {
    let deadline = patience(deadline, state.len());
    let job = move |inside: &Arc<Generation>| state.give(|source| body(inside, source));
    on_lane(generation, callback, deadline, job, drop)
}
