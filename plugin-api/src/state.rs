//! The state extension: what a plugin hands on to its next version.

mod encoded;
#[cfg(feature = "message-pack")]
mod message_pack;
mod step;
mod stream;
mod with_capacity;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use encoded::{Bytes, Encoded};
#[cfg(feature = "message-pack")]
pub use message_pack::MessagePack;
pub use step::{Shape, Step};
pub use stream::{StateReader, StateWriter};
pub use with_capacity::with_capacity;

use crate::{Error, Plugin, Result};

/// The state of a plugin, ready to be exported while calls run.
///
/// A lock around your type: an export shows the one moment between two writes. A panic while it is held does not
/// lock it for ever; write in one step what belongs together.
///
/// It counts how often it was locked to be written, and the periodic snapshot leaves out a plugin whose state was not. What
/// changes behind [`State::read`], in a lock or an atomic of the type's own, says so with [`State::touch`].
#[derive(Debug, Default)]
pub struct State<T> {
    value: RwLock<T>,
    changes: AtomicU64,
}

impl<T> State<T> {
    /// State that begins with this value.
    pub const fn new(value: T) -> Self {
        Self { value: RwLock::new(value), changes: AtomicU64::new(0) }
    }

    /// The state, to read.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to change. Counts as a change, whatever is done with it.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let guard = self.value.write().unwrap_or_else(PoisonError::into_inner);
        // While it is locked: whoever reads this number and exports then, waits for this guard.
        self.touch();
        guard
    }

    /// Counts a change that was made without [`State::write`]. After it.
    pub fn touch(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes were counted.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// A plugin with state that goes on: over each swap, and over a restart of the host, sealed.
///
/// Say so in the export: `export_plugin!(Counter: Stateful)`. The state is written as JSON, which a later version
/// with more fields still reads (`#[serde(default)]`); when the shape changes more than that, raise [`SCHEMA`] and
/// declare the step from the old shape in [`STEPS`].
///
/// [`SCHEMA`]: Stateful::SCHEMA
/// [`STEPS`]: Stateful::STEPS
pub trait Stateful: Plugin {
    /// The shape of the state. A type with serde is written as JSON; `MessagePack<T>` (feature `message-pack`) and [`Bytes`]
    /// are written as what they say, and your own way of writing is an `impl` of [`Encoded`].
    type State: Encoded;

    /// The version of that shape, which this plugin writes.
    const SCHEMA: u32 = 1;

    /// The steps from schema to schema, which are taken one after the other. Those that lead to [`SCHEMA`](Stateful::SCHEMA)
    /// say what else this version reads. Those that lead from it to an older one, and whose way back is declared too, let that
    /// older version take over again with the newest state, by `hotbay rollback` or by its file.
    ///
    /// A step has both shapes in memory, and a way down the older one's bytes as well, beside the state that is left: a large state wants room for that.
    const STEPS: &'static [Step] = &[];

    /// Where the state lives.
    ///
    /// Called by: the host's export and import, and its look whether there is anything to export. State: created; for an
    /// export also started. Thread: a lane, as [`start`](crate::Plugin::start) has it; an export may run beside calls. May call back: no. Panic: the export or import
    /// fails, and with it a swap.
    fn state(&self) -> &State<Self::State>;
}

/// Writes the state into `out`, in this schema.
pub(crate) fn export<P: Stateful>(plugin: &P, schema: u32, out: &mut StateWriter<'_>) -> Result<()> {
    if schema == P::SCHEMA {
        return plugin.state().read().write(out);
    }
    if !Shape::of::<P>().goes_back_to(schema) {
        return Err(Error::msg(format_args!(
            "export state in schema {schema}: this version writes {} and has no step from there",
            P::SCHEMA
        )));
    }
    // A step takes its state as a value: what it gets is a copy, read from what was written, for which nobody waits.
    let mut written = Vec::new();
    {
        let mut lent = crate::abi::Lent::new(&mut written);
        plugin.state().read().write(&mut StateWriter::of(lent.out()))?;
    }
    let mut copy = crate::abi::LentBytes::new(&written);
    step::walk(P::STEPS, P::SCHEMA, schema, &mut StateReader::new(copy.source()), |last, state| {
        last.write(&*state, out)
    })
}

/// Replaces the state by the one that is read from `source`, which is of this schema.
pub(crate) fn import<P: Stateful>(plugin: &P, schema: u32, source: &mut StateReader<'_>) -> Result<()> {
    let value = if schema == P::SCHEMA {
        read_to_the_end(source).map_err(|e| imported(schema, &e))?
    } else if Shape::of::<P>().reads(schema) {
        step::walk(P::STEPS, schema, P::SCHEMA, source, |last, state| {
            last.made(state).map(|state: Box<P::State>| *state)
        })?
    } else {
        return Err(Error::msg(format_args!(
            "import state of schema {schema}: this version reads {} and writes {}",
            Shape::of::<P>().others(),
            P::SCHEMA
        )));
    };
    *plugin.state().write() = value;
    Ok(())
}

const MORE: &str = "there is more than the state that it begins with";

/// Reads a value, and sees that nothing comes after it: what is cut off or damaged shows at the end.
fn read_to_the_end<T: Encoded>(source: &mut StateReader<'_>) -> Result<T> {
    let value = T::read(source)?;
    if source.is_at_end()? { Ok(value) } else { Err(Error::msg(MORE)) }
}

fn imported(schema: u32, error: &Error) -> Error {
    Error::msg(format_args!("import state of schema {schema}: {error}"))
}

#[cfg(test)]
mod tests;
