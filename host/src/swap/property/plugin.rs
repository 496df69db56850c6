//! The plugin of the random lives: a count, and faults on demand.

use std::sync::{Mutex, PoisonError};

use hotbay_plugin_api::prelude::*;

use super::Fault;

/// What callers may ask.
pub(super) const METHODS: &[&str] = &["add", "fail", "panic"];

/// A version whose state has this schema; without state when that is 0.
pub(super) struct Counter<const SCHEMA: u32> {
    state: State<Count>,
    load: u64,
    fault: Mutex<Fault>,
}

/// What a version is told.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Settings {
    pub(super) load: u64,
    pub(super) fault: Fault,
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Count {
    count: u64,
}

impl<const SCHEMA: u32> Counter<SCHEMA> {
    fn fails(&self, fault: Fault) -> bool {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) == fault
    }
}

impl<const SCHEMA: u32> Plugin for Counter<SCHEMA> {
    fn create(context: Context) -> Result<Self> {
        let Settings { load, fault } = context.config()?;
        Ok(Self { state: State::default(), load, fault: Mutex::new(fault) })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "add" => {
                let mut state = self.state.write();
                state.count += 1;
                reply.json(&(self.load, state.count))
            }
            "count" => reply.json(&(self.load, self.state.read().count)),
            "arm" => {
                *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = request.json()?;
                Ok(())
            }
            "fail" => Err(Error::msg("do that")),
            "panic" => panic!("on demand"),
            _ => Err(request.unknown_method()),
        }
    }

    fn start(&self) -> Result<()> {
        if self.fails(Fault::FailsStart) { Err(Error::msg("take the port")) } else { Ok(()) }
    }

    fn stop(&self) -> Result<()> {
        if self.fails(Fault::FailsStop) { Err(Error::msg("give the port back")) } else { Ok(()) }
    }

    fn pause(&self) -> Result<()> {
        if self.fails(Fault::FailsPause) { Err(Error::msg("pause")) } else { Ok(()) }
    }
}

impl<const SCHEMA: u32> Stateful for Counter<SCHEMA> {
    type State = Count;
    const SCHEMA: u32 = SCHEMA;
    const STEPS: &'static [Step] = steps(SCHEMA);

    fn state(&self) -> &State<Count> {
        // An import comes before a start, an export after it: who serves was told anew where to fail.
        assert!(!self.fails(Fault::PanicsInImport) && !self.fails(Fault::PanicsInExport), "on demand");
        &self.state
    }
}

const fn steps(schema: u32) -> &'static [Step] {
    const DOWN: &[Step] = &[Step::new::<Count, Count>(2, 1)];
    const UP: &[Step] = &[Step::new::<Count, Count>(1, 2)];
    match schema {
        1 => DOWN,
        2 => UP,
        _ => &[],
    }
}

/// Which other schemas a version reads: 1 and 2 read each other.
pub(super) const fn reads(schema: u32) -> &'static [u32] {
    match schema {
        1 => &[2],
        2 => &[1],
        _ => &[],
    }
}

export_plugin!(Counter<0> { name: "counter" });
export_plugin!(Counter<1>: Stateful { name: "counter" });
export_plugin!(Counter<2>: Stateful { name: "counter" });
export_plugin!(Counter<3>: Stateful { name: "counter" });
