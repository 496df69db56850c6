//! The probe's side of a run of a plugin's whole life: each callback, with what the contract says that comes of it.
//!
//! What the contract leaves to a plugin is no failure here: an error in answer to a request, or to `start` where another service is
//! missing. A panic is one, wherever it comes from, and so is state that an instance writes and another one does not take.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use hotbay_plugin_api::abi::{Lent, Out, Status};
use hotbay_plugin_api::manifest::{Manifest, Schema};
use hotbay_state::HELD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::behaviour::{Step, StepOutcome};
use super::child::{MOMENT, Say};
use crate::error::chain;
use crate::ffi::{Answer, Closed, Holds, HostSide, Lending, Opened, Plugin, Source, Twin, Written};
use crate::stage::Object;

/// A method that nobody has.
const NOBODYS: &str = "a-method-that-nobody-has";

thread_local! {
    static CALLS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a call of the plugin.
pub(super) fn is_calling() -> bool {
    CALLS.get()
}

/// What such a run is told beside what each probe is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Deep {
    pub(super) manifest: Manifest,
    /// The most state that is taken.
    pub(super) max_bytes: u64,
}

/// What a step found: worth a word, and how much.
type Found<T> = Result<(T, Option<(StepOutcome, String)>), String>;

/// Nothing to say.
fn fine<T>(value: T) -> Found<T> {
    Ok((value, None))
}

impl Holds for Arc<Plugin> {
    fn plugin(&self) -> &Plugin {
        self
    }
}

/// Tries a step and says what came of it; the words of what failed are those of the verdict.
fn step<T>(say: &Say, name: &str, body: impl FnOnce() -> Found<T>) -> Result<T, String> {
    say.stage(name);
    let begun = Instant::now();
    let found = body();
    let micros = u64::try_from(begun.elapsed().as_micros()).ok();
    let (outcome, text) = match &found {
        Ok((_, None)) => (StepOutcome::Ok, None),
        Ok((_, Some((outcome, text)))) => (*outcome, Some(text.clone())),
        Err(text) => (StepOutcome::Failed, Some(text.clone())),
    };
    say.step(&Step { step: name.to_owned(), outcome, micros, text });
    found.map(|(value, _)| value).map_err(|text| format!("failed at step `{name}`: {text}"))
}

fn skip(say: &Say, name: &str, text: &str) {
    let outcome = StepOutcome::Skipped;
    say.step(&Step { step: name.to_owned(), outcome, micros: None, text: Some(text.to_owned()) });
}

/// From its library to a plugin that was dropped. On a thread of its own, as in a host.
pub(super) fn live(object: &Object, host: Box<HostSide>, deep: &Deep, say: &Say) -> Result<Plugin, String> {
    let manifest = &deep.manifest;
    let opened = step(say, "map", || fine(Opened::open(object, "probe").map_err(|e| chain(&e))?))?;
    let plugin = step(say, "create", || fine(opened.create(host).map_err(|e| chain(&e))?))?;
    let plugin = Arc::new(plugin.with_functions(&manifest.methods));
    if start(&plugin, manifest, say)? {
        calls(&plugin, manifest, say)?;
        step(say, "pause", || fine(told(plugin.pause())?))?;
        state(&plugin, deep, say)?;
        step(say, "resume", || fine(told(plugin.resume())?))?;
        step(say, "stop", || fine(stopped(&plugin)?))?;
        step(say, "start again", || fine(told(plugin.start())?))?;
        step(say, "stop again", || fine(stopped(&plugin)?))?;
    } else {
        state(&plugin, deep, say)?;
    }
    let mut plugin = Arc::into_inner(plugin).ok_or("the probe lost the plugin: a defect of the host")?;
    step(say, "drop", || fine(told(plugin.destroy())?))?;
    Ok(plugin)
}

/// Stops it, and waits for the threads that it was given.
fn stopped(plugin: &Plugin) -> Result<(), String> {
    told(plugin.stop())?;
    match plugin.join_threads(MOMENT).first() {
        None => Ok(()),
        Some(thread) => Err(format!(
            "thread `{}` did not end within {} ms after it was told to; have it ask its stop token",
            thread.name,
            MOMENT.as_millis()
        )),
    }
}

/// Closes the library, when no thread of the host's is inside any more, and looks at what the plugin left: that costs a host memory,
/// and is no reason to refuse it.
pub(super) fn unload(plugin: Plugin, say: &Say, left: impl FnOnce() -> Vec<String>) -> Result<(), String> {
    step(say, "unload", || {
        let closed = match plugin.close(std::time::Duration::MAX) {
            Closed::Unmapped => None,
            Closed::Mapped => Some((StepOutcome::Warning, "pinned: the system did not unmap it")),
            Closed::Busy => Some((StepOutcome::Warning, "pinned: the system's loader is busy")),
            Closed::Unknown(_) => {
                Some((StepOutcome::Skipped, "this system does not tell whether it is unmapped"))
            }
        };
        Ok(((), closed.map(|(outcome, text)| (outcome, text.to_owned()))))
    })?;
    step(say, "leave nothing", || {
        let left = left();
        Ok(((), (!left.is_empty()).then(|| (StepOutcome::Warning, format!("it {}", left.join("; it "))))))
    })
}

/// Whether it started. One that needs another service may not be able to.
fn start(plugin: &Plugin, manifest: &Manifest, say: &Say) -> Result<bool, String> {
    step(say, "start", || match plugin.start() {
        Err((Status::PANICKED, text)) => Err(format!("it panicked: {text}")),
        Err((_, text)) if !manifest.requires.is_empty() => {
            let text =
                format!("{text}; it requires {}, and there is none here", manifest.requires.join(", "));
            Ok((false, Some((StepOutcome::Skipped, text))))
        }
        answer => fine(told(answer).map(|()| true)?),
    })
}

fn calls(plugin: &Plugin, manifest: &Manifest, say: &Say) -> Result<(), String> {
    step(say, &format!("call {NOBODYS}"), || match called(|out| plugin.call(NOBODYS, b"", out)) {
        (Status::NO_SUCH_METHOD, _) => fine(()),
        (Status::PANICKED, text) => Err(format!("it panicked: {text}")),
        (Status::OK, _) => {
            Err("it answered a method that there is not; answer `Err(request.unknown_method())`".to_owned())
        }
        (_, text) => {
            Err(format!("it told of an error of its own ({text}); answer `Err(request.unknown_method())`"))
        }
    })?;
    for (number, method) in manifest.methods.iter().enumerate() {
        step(say, &format!("call {method}"), || {
            let nothing = answered(called(|out| plugin.call(method, b"", out)))?;
            // The second time as callers go that have the method in hand.
            let in_hand = |out: Out<'_>| match plugin.method(number) {
                Some(function) => function.call(b"{}", out),
                None => plugin.call(method, b"{}", out),
            };
            let object = answered(called(in_hand))?;
            Ok(((), Some((StepOutcome::Ok, format!("to nothing {nothing}, to {{}} {object}")))))
        })?;
    }
    Ok(())
}

fn called(call: impl FnOnce(Out<'_>) -> Status) -> (Status, String) {
    let mut reply = Vec::new();
    CALLS.set(true);
    let status = call(Lent::new(&mut reply).out());
    CALLS.set(false);
    let text = match status {
        Status::OK => format!("{} bytes", reply.len()),
        _ => String::from_utf8_lossy(&reply).into_owned(),
    };
    (status, text)
}

fn answered((status, text): (Status, String)) -> Result<String, String> {
    match status {
        Status::OK => Ok(text),
        Status::PANICKED => Err(format!("it panicked: {text}")),
        Status::NO_SUCH_METHOD => Err("its manifest declares it, and it does not know it".to_owned()),
        _ => Ok(format!("an error ({text})")),
    }
}

/// What it writes, another instance takes, and writes again.
fn state(plugin: &Arc<Plugin>, deep: &Deep, say: &Say) -> Result<(), String> {
    let schema = match (&deep.manifest.state, plugin.is_stateful()) {
        (Some(schema), true) => schema,
        (None, false) => return Ok(()),
        (told, _) => {
            let told = told.as_ref().map_or("none", |_| "some");
            return step(say, "export", || {
                Err(format!("its manifest tells of {told} state, and its functions differ"))
            });
        }
    };
    let first = step(say, "export", || {
        let written = written(deep.max_bytes, |lending| plugin.export(schema.writes, lending))?;
        let text = format!("{} bytes of {}, schema {}", written.len(), schema.content_type, schema.writes);
        Ok((written, Some((StepOutcome::Ok, text))))
    })?;
    let twin = step(say, "create a second one", || match Twin::create(Arc::clone(plugin)) {
        Ok(Some(twin)) => fine(Some(twin)),
        Ok(None) => fine(None),
        Err((Status::PANICKED, text)) => Err(format!("it panicked: {text}")),
        Err((_, text)) => Err(format!("{text}; a rehearsal, and a swap to the same bytes, have two at once")),
    })?;
    let Some(twin) = twin else { return Ok(()) };
    step(say, "import", || fine(told(twin.import(schema.writes, Source::Bytes(&first)))?))?;
    step(say, "export again", || {
        let again = written(deep.max_bytes, |lending| twin.export(schema.writes, lending))?;
        compared(&schema.content_type, &first, &again)
    })?;
    older(plugin, schema, deep, say)?;
    // Its end is a part of this life.
    step(say, "drop the second one", || {
        drop(twin);
        fine(())
    })
}

/// State in each older schema that it goes back to, which it takes again where it says so.
fn older(plugin: &Arc<Plugin>, schema: &Schema, deep: &Deep, say: &Say) -> Result<(), String> {
    for older in &schema.back {
        let written = step(say, &format!("export as {}", older.writes), || {
            let written = written(deep.max_bytes, |lending| plugin.export(older.writes, lending))?;
            let text = format!("{} bytes of {}", written.len(), older.content_type);
            Ok((written, Some((StepOutcome::Ok, text))))
        })?;
        if schema.accepts(older.writes) {
            step(say, &format!("import of {}", older.writes), || {
                let twin = Twin::create(Arc::clone(plugin)).map_err(|(_, text)| text)?;
                fine(twin.map_or(Ok(()), |twin| told(twin.import(older.writes, Source::Bytes(&written))))?)
            })?;
        } else {
            skip(say, &format!("import of {}", older.writes), "it does not read that schema");
        }
    }
    Ok(())
}

/// Whether two exports are of one state. What they say is compared where the host can read it: maps may be written in any order.
fn compared(content_type: &str, first: &[u8], again: &[u8]) -> Found<()> {
    if first == again {
        return fine(());
    }
    let sizes = format!("{} bytes, and {} before", again.len(), first.len());
    if content_type != "application/json" {
        let text = format!("other bytes ({sizes}): whether they say the same, only the plugin knows");
        return Ok(((), Some((StepOutcome::Warning, text))));
    }
    let parse =
        |bytes| serde_json::from_slice::<serde_json::Value>(bytes).map_err(|e| format!("it is no JSON: {e}"));
    if parse(first)? == parse(again)? {
        let text = "the same in another order: as many bytes may change although nothing did".to_owned();
        return Ok(((), Some((StepOutcome::Ok, text))));
    }
    Err(format!("the state is another after it was imported ({sizes})"))
}

fn written(max: u64, export: impl FnOnce(Lending<'_>) -> Written) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut all = Zeroizing::new(Vec::new());
    let mut sink = |bytes: &[u8]| {
        all.extend_from_slice(bytes);
        true
    };
    let Written { answer, rest, exceeded } =
        export(Lending { room: Vec::new(), held: HELD, piece: 1 << 20, max, sink: &mut sink });
    if exceeded {
        return Err(format!("it wrote more than {max} bytes (`state.max_bytes`)"));
    }
    told(answer)?;
    all.extend_from_slice(&rest);
    Ok(all)
}

fn told(answer: Answer) -> Result<(), String> {
    answer.map_err(|(status, text)| match status {
        Status::PANICKED => format!("it panicked: {text}"),
        _ => text,
    })
}
