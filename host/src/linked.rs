//! Plugins that are linked into the tests: the same life without a library, fast, for the kernel's own logic.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotbay_plugin_api::Export;
use hotbay_plugin_api::manifest::Manifest;
use hotbay_state::{Key, KeyRing, Store};

use crate::ffi::{HostSide, Plugin, Services};
use crate::kernel::counting::Counting;
use crate::kernel::generation::Generation;
use crate::kernel::good::Good;
use crate::kernel::history::History;
use crate::kernel::lane::{Lane, Room, Spares};
use crate::kernel::probation::Marks;
use crate::kernel::registry::Registry;
use crate::kernel::served::Served;
use crate::kernel::shared::Shared;
use crate::kernel::slot::Slot;
use crate::kernel::snapshots::Snapshots;
use crate::kernel::tables::Table;
use crate::load::Loaded;
use crate::stage::{Object, Stage, Staged};
use crate::verify::Digest;

/// Enough for what should happen; what should not happen has [`SHORT`].
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// What a lane takes in tests of other things.
pub(crate) const ROOM: Room = Room { lanes: 1, mailbox: 1024 };
/// A deadline that is to pass.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Waits until it holds, and fails where it does not come to that.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LONG;
    while !holds() {
        assert!(std::time::Instant::now() < end, "waited in vain");
        std::thread::yield_now();
    }
}

/// Waits until there is one, and fails where it does not come to that.
#[track_caller]
pub(crate) fn until_some<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(|| {
        found = look();
        found.is_some()
    });
    found.expect("it was just seen")
}

/// A registry and a store, without files of plugins.
pub(crate) struct Bay {
    pub(crate) registry: Arc<Registry>,
    pub(crate) snapshots: Arc<Snapshots>,
    _home: tempfile::TempDir,
}

impl Bay {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path().join("state")).unwrap();
        Self {
            registry: Arc::default(),
            snapshots: Arc::new(Snapshots::new(KeyRing::from(Key::generate().unwrap()), store)),
            _home: home,
        }
    }

    pub(crate) fn slot(&self, name: &str) -> Arc<Slot> {
        self.registry.register(name)
    }

    /// A created plugin on its own lane.
    pub(crate) fn load<P: Export>(&self, number: u64) -> Loaded {
        self.load_with::<P>(number, None)
    }

    /// The same, with a configuration.
    pub(crate) fn load_with<P: Export>(&self, number: u64, config: Option<&serde_json::Value>) -> Loaded {
        static LOADS: AtomicU64 = AtomicU64::new(1);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let declaration = P::DECLARATION;
        let manifest = Manifest {
            name: declaration.name.to_owned(),
            version: declaration.version.to_owned(),
            contract: "1.0".to_owned(),
            requires: Vec::new(),
            wants: Vec::new(),
            idempotent: declaration.idempotent.iter().map(ToString::to_string).collect(),
            priority: 0,
            methods: declaration.methods.iter().map(ToString::to_string).collect(),
            topics: declaration.topics.iter().map(ToString::to_string).collect(),
            queue: declaration.queue.to_owned(),
            answers: declaration.answers.iter().map(ToString::to_string).collect(),
            streams: declaration.streams.iter().map(ToString::to_string).collect(),
            resumable: declaration.resumable.iter().map(ToString::to_string).collect(),
            capabilities: Vec::new(),
            config: None,
            state: P::SHAPE.map(|shape| shape.to_schema()),
            toolchain: String::new(),
            target: String::new(),
            panic: "unwind".to_owned(),
        };
        let services: Arc<dyn Services> = Arc::clone(&self.registry) as _;
        let table = Table::new(config);
        let host = HostSide::new(declaration.name, number, Arc::clone(&table.json), services);
        let lane = Lane::open(&format!("lane-{}-{number}", declaration.name), load, ROOM, &Spares::default())
            .unwrap();
        let plugin = lane.run(LONG, move || Plugin::create_linked::<P>(host)).unwrap().unwrap();
        let plugin = plugin.with_functions(&manifest.methods);
        let alarm = Arc::default();
        plugin.tick_on(&lane, load, &alarm);
        let path = std::path::PathBuf::from("linked");
        let staged = Staged {
            object: Object::named(declaration.name, &path),
            source: path.clone(),
            digest: Digest::of(&load.to_le_bytes()),
            manifest,
            mark: None,
            bytes: 0,
            held: None,
            copy: (path, std::sync::OnceLock::new()),
            read: Mutex::default(),
        };
        let generation = Generation {
            name: Arc::clone(self.slot(declaration.name).name()),
            number,
            load,
            tally: Arc::new(Counting::of(staged.manifest.methods.len())),
            alarm,
            handled: Arc::default(),
            began: crate::os::moment(),
            lane,
            replaced: Mutex::default(),
            kept: Mutex::default(),
            table: Mutex::new(table),
            level: AtomicU32::new(5),
            plugin,
            staged,
        };
        Loaded { generation: Arc::new(generation) }
    }

    /// A plugin that serves.
    pub(crate) fn serve<P: Export>(&self) -> (Arc<Slot>, Arc<Generation>) {
        let slot = self.slot(P::DECLARATION.name);
        let started = crate::start::start(self.load::<P>(1), LONG).unwrap();
        let _ = slot.publish(Arc::clone(&started.generation));
        (slot, started.generation)
    }
}

/// What the operations of a host share, in folders of its own.
pub(crate) fn shared(home: &std::path::Path, set: impl FnOnce(&mut crate::Config)) -> Arc<Shared> {
    let mut config = crate::Config { home: home.to_owned(), ..crate::Config::default() };
    set(&mut config);
    let snapshots = Snapshots::new(Key::generate().unwrap().into(), Store::open(home.join("state")).unwrap());
    let (marks, _) = Marks::open(home).unwrap();
    let (stage, history) = (Stage::open(home).unwrap(), History::open(home).unwrap());
    let (good, served) = (Good::open(home).unwrap(), Served::open(home).unwrap());
    Arc::new(Shared::new(config, stage, snapshots, history, good, served, marks))
}

pub(crate) use idle::Idle;

mod idle {
    use hotbay_plugin_api::prelude::*;

    /// A plugin that does nothing, and is done with it.
    pub(crate) struct Idle;

    impl Plugin for Idle {
        fn create(_: Context) -> Result<Self> {
            Ok(Self)
        }

        fn call(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
            Ok(())
        }
    }

    hotbay_plugin_api::export_plugin!(Idle { name: "idle", methods: &["rest"] });
}
