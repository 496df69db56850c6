//! What should become of each step: the rules of the swap without its machinery.

use super::plugin::reads;
use super::{Became, Fault, Seen, Step, Version};

/// A service as it should be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    serving: Option<Serving>,
    /// Schema and count of the state that is kept.
    kept: Option<(u32, u64)>,
    loads: u64,
}

#[derive(Debug, Clone, Copy)]
struct Serving {
    version: Version,
    load: u64,
    count: u64,
}

impl Version {
    fn is_stateful(self) -> bool {
        self.schema != 0
    }

    fn reads(self, schema: u32) -> bool {
        self.schema == schema || reads(self.schema).contains(&schema)
    }

    fn takes_in(self, schema: u32) -> bool {
        self.reads(schema) && self.fault != Fault::PanicsInImport
    }
}

impl Expected {
    pub(super) fn seen(&self) -> Seen {
        self.serving.map(|serving| (serving.load, serving.count))
    }

    pub(super) fn take(&mut self, step: Step) -> Became {
        match (step, self.serving) {
            (Step::Start(_), Some(_)) | (Step::Swap { .. } | Step::Stop { .. }, None) => Became::Nothing,
            (Step::Start(version), None) => self.start(version),
            (Step::Swap { to, fault, rehearse, inside }, Some(old)) => {
                self.loads += 1;
                match self.swap(old, to, fault, rehearse, inside) {
                    Ok(count) => {
                        self.serving = Some(Serving { version: to, load: self.loads, count });
                        Became::Done
                    }
                    Err(became) => became,
                }
            }
            (Step::Stop { fault }, Some(old)) => {
                if old.version.is_stateful() {
                    if matches!(fault, Fault::FailsPause | Fault::PanicsInExport) {
                        return Became::GivenUp;
                    }
                    self.kept = Some((old.version.schema, old.count));
                }
                self.serving = None;
                Became::Done
            }
            (Step::Call { .. }, None) => Became::NotRunning,
            (Step::Call { method: "fail", .. }, Some(_)) => Became::Failed,
            (Step::Call { method: "panic", .. }, Some(_)) => Became::Panicked,
            (Step::Call { .. }, Some(mut serving)) => {
                serving.count += 1;
                self.serving = Some(serving);
                Became::Answered(serving.load, serving.count)
            }
        }
    }

    fn start(&mut self, version: Version) -> Became {
        self.loads += 1;
        let Some(count) = self.begins_with(version).filter(|_| version.fault != Fault::FailsStart) else {
            return Became::GivenUp;
        };
        self.serving = Some(Serving { version, load: self.loads, count });
        Became::Done
    }

    /// The count that a version begins with which nobody hands state to; `None` when it cannot take in what is kept.
    fn begins_with(&self, version: Version) -> Option<u64> {
        match self.kept.filter(|_| version.is_stateful()) {
            Some((schema, count)) => version.takes_in(schema).then_some(count),
            None => Some(0),
        }
    }

    /// The count that the new version begins with.
    fn swap(
        &mut self,
        old: Serving,
        to: Version,
        fault: Fault,
        rehearse: bool,
        inside: bool,
    ) -> Result<u64, Became> {
        let Serving { version: from, count, .. } = old;
        let starts = to.fault != Fault::FailsStart;
        if !from.is_stateful() {
            return self.begins_with(to).filter(|_| starts).ok_or(Became::GivenUp);
        }
        if to.is_stateful() {
            if !to.takes_in(from.schema) {
                return Err(Became::GivenUp);
            }
            // The twin of the old one fails where the old one itself would have, had there been state to take in.
            if rehearse && from.reads(to.schema) && !from.takes_in(to.schema) {
                return Err(Became::GivenUp);
            }
        }
        if inside || matches!(fault, Fault::FailsPause | Fault::PanicsInExport) {
            return Err(Became::GivenUp);
        }
        if !to.is_stateful() {
            self.kept = Some((from.schema, count));
        }
        if !starts {
            if fault != Fault::FailsStart {
                return Err(Became::GivenUp);
            }
            // It does not start again either. Its state was handed over, and is kept.
            self.kept = Some((from.schema, count));
            self.serving = None;
            return Err(Became::Down);
        }
        self.kept = Some((from.schema, count));
        Ok(if to.is_stateful() { count } else { 0 })
    }
}
