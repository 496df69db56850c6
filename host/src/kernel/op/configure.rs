//! The version that serves is offered the table that the file has for it by now.

use std::sync::Arc;

use super::{Outcome, Report};
use crate::error::{Code, Trouble};
use crate::kernel::generation::Generation;
use crate::kernel::service::Task;
use crate::kernel::shared::Shared;
use crate::kernel::tables::{Offered, Table};
use crate::start::CallbackError;
use crate::swap::guarded;

/// Holds the table against the schema of the version that serves, and brings it to the plugin.
pub(crate) fn configure(shared: &Shared, generation: Arc<Generation>, table: Arc<Table>) -> Report {
    let name = Arc::clone(&generation.name);
    // Should the host panic here, the service is none the worse for it.
    let offered = guarded("configure", || Ok(offer(shared, &generation, &table)));
    let offered = offered.unwrap_or_else(Offered::Refused);
    let side = generation.side();
    match offered.trouble() {
        None => {
            shared.journal.note(
                "configured",
                Some(&name),
                Some(&side),
                "it took its changed table while it runs",
            );
        }
        Some(why) => {
            let kind = if why.code == Code::ConfigAtReload { "configured" } else { "config_refused" };
            shared.journal.note(kind, Some(&name), Some(&side), why.clone());
        }
    }
    drop(generation);
    let outcome = Outcome::Configured { table, offered };
    Report { name, task: Task::Configure, outcome, remains: Vec::new() }
}

/// The level of the log is another than the plugin's library was told.
pub(crate) fn tell_level(shared: &Shared, generation: Arc<Generation>) -> Report {
    let name = Arc::clone(&generation.name);
    let told =
        guarded("set_level", || Ok(crate::start::tell_level(&generation, shared.config.swap.callback)?));
    drop(generation);
    Report { name, task: Task::Configure, outcome: Outcome::Levelled(told), remains: Vec::new() }
}

fn offer(shared: &Shared, generation: &Arc<Generation>, table: &Arc<Table>) -> Offered {
    let name = &generation.name;
    if let Err(misfit) = shared.tables.fits(name, table, generation.manifest()) {
        return Offered::Misfit(misfit.told(|text| format!("{text}; the table that it had is in force")));
    }
    let refused = |why: String| {
        let text = format!(
            "its changed table of hotbay.toml is not taken: {why}; the table that it had is in force, for the next version as well: mend it there"
        );
        Offered::Refused(Trouble::new(Code::ConfigRefused, text))
    };
    match crate::start::configure(generation, table, shared.config.swap.callback) {
        Ok(true) => {
            generation.set_table(Arc::clone(table));
            Offered::Taken
        }
        Ok(false) => {
            let text = format!(
                "its table of hotbay.toml changed, and it takes none while it runs: `hotbay reload {name}` brings the new one, as does its next version"
            );
            Offered::AtReload(Trouble::new(Code::ConfigAtReload, text))
        }
        Err(CallbackError::Failed { text, .. }) => refused(format!("failed to {text}")),
        Err(error) => refused(error.to_string()),
    }
}
