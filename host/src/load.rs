//! Load: map what was probed into the host, check its layout, and create the plugin on its own lane.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::ffi::{self, CreateError, HostSide, Plugin, Services};
use crate::kernel::alarm::{Alarm, Wake};
use crate::kernel::counting::Counting;
use crate::kernel::generation::Generation;
use crate::kernel::lane::{Lane, LaneError, Room, Spares};
use crate::kernel::tables::Table;
use crate::os;
use crate::probe::Probed;
use crate::stage::Object;

/// A created plugin that is not started.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) generation: Arc<Generation>,
}

impl Loaded {
    /// For the journal. By the name, who looks at the system's list of mappings finds the generation.
    pub(crate) fn told(&self) -> String {
        format!("mapped as {} and created", self.generation.staged.object)
    }
}

/// What a load is given.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) number: u64,
    pub(crate) load: u64,
    pub(crate) room: Room,
    pub(crate) table: &'a Arc<Table>,
    pub(crate) deadline: Duration,
    /// Who is woken when its calls go wrong.
    pub(crate) wake: &'a Arc<Wake>,
    /// Threads that have begun.
    pub(crate) spares: &'a Spares,
}

/// Why a probed plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoadFailed {
    /// The library or the plugin refuses.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Its constructor hangs.
    #[error("failed to create the plugin within {} ms: its constructor hangs; the thread that it holds is lost", .0.as_millis())]
    Hangs(Duration),
    /// What it does when it is mapped hangs, or what another one does then or when it is unmapped.
    #[error("{}", hangs_at_loader(.0, .1))]
    Loader(ffi::Holder, Object),
    /// The host failed on the way.
    #[error("failed to create the plugin: its lane broke down; this is a defect of the host")]
    Lost,
    /// No thread can be had.
    #[error("failed to start a lane: {0}")]
    Lane(std::io::Error),
}

fn hangs_at_loader(holder: &ffi::Holder, object: &Object) -> String {
    if holder.object.is(object) { holder.to_string() } else { format!("failed to map the library: {holder}") }
}

/// Maps and creates. On its own lane, never on a caller's thread.
pub(crate) fn load(
    probed: Probed,
    place: &Place<'_>,
    services: Arc<dyn Services>,
) -> Result<Loaded, LoadFailed> {
    let Probed { staged, .. } = probed;
    let lane_name = format!("lane-{}-{}", place.name, place.number);
    let lane = Lane::open(&lane_name, place.load, place.room, place.spares).map_err(LoadFailed::Lane)?;
    let json = Arc::clone(&place.table.json);
    let host = HostSide::new(place.name, place.number, json, services);
    let (object, began) = (staged.object.clone(), os::moment());
    let (mapped, methods) = (object.clone(), staged.manifest.methods.clone());
    let create = move || {
        let plugin = Plugin::create(&mapped, host)?.with_functions(&methods);
        let level = AtomicU32::new(plugin.tell_level());
        Ok::<_, CreateError>((plugin, level))
    };
    match lane.run(place.deadline, create) {
        Ok(Ok((plugin, level))) => {
            let tally = Arc::new(Counting::of(staged.manifest.methods.len()));
            let name = Arc::clone(place.name);
            let (number, load) = (place.number, place.load);
            let alarm = Arc::new(Alarm::new(place.wake));
            plugin.tick_on(&lane, load, &alarm);
            let replaced = Mutex::default();
            let (kept, handled) = (Mutex::default(), Arc::default());
            let table = Mutex::new(Arc::clone(place.table));
            let generation = Generation {
                name,
                number,
                load,
                tally,
                alarm,
                handled,
                began,
                lane,
                replaced,
                kept,
                table,
                level,
                plugin,
                staged,
            };
            Ok(Loaded { generation: Arc::new(generation) })
        }
        Ok(Err(refused)) => {
            lane.close(place.deadline);
            Err(refused.into())
        }
        // The plugin that comes out of it late is leaked with its library.
        Err(LaneError::TimedOut) => Err(match ffi::held_up(place.deadline / 2) {
            Some(holder) => LoadFailed::Loader(holder, object),
            None => LoadFailed::Hangs(place.deadline),
        }),
        Err(LaneError::Full | LaneError::Closed) => Err(LoadFailed::Lost),
    }
}
