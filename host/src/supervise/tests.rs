use plain::Plain;

use super::*;
use crate::kernel::restarts::Next;
use crate::kernel::service::Busy;
use crate::kernel::wish::{Awaited, Goal, Reply};
use crate::linked::{Bay, LONG, shared};

/// A plugin that does nothing.
mod plain {
    use hotbay_plugin_api::prelude::*;

    pub(super) struct Plain;

    impl Plugin for Plain {
        fn create(_: Context) -> Result<Self> {
            Ok(Self)
        }

        fn call(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
            Ok(())
        }
    }

    hotbay_plugin_api::export_plugin!(Plain { name: "plain", version: "1.0.0" });
}

/// A loop that nobody runs, on folders of its own.
fn kernel(home: &std::path::Path) -> Kernel {
    std::fs::create_dir(home.join("plugins")).unwrap();
    let shared = shared(home, |config| config.plugins = home.join("plugins"));
    let (held, rolled_back) = (Held::open(home).unwrap(), RolledBackDigests::open(home).unwrap());
    let (sender, inbox) = mpsc::channel();
    Kernel::new(shared, held, rolled_back, Vec::new(), inbox, sender)
}

/// A service whose start is under way, and who waits for its end.
fn starting(kernel: &mut Kernel) -> Awaited {
    let mut service = Service::new(kernel.shared.registry.register("plain"));
    service.busy = Some(Busy { task: Task::Start, since: Instant::now() });
    kernel.services.insert("plain".to_owned(), service);
    let (reply, awaited) = Reply::new();
    let goal = Goal::Ends { command: "restart", after: 0 };
    kernel.wishes.push(Wish::new("plain".to_owned(), goal, reply));
    awaited
}

#[test]
fn whoever_waited_for_what_has_ended_is_told_so_also_when_a_stop_comes_in_the_same_moment() {
    let (home, bay) = (tempfile::tempdir().unwrap(), Bay::new());
    let mut kernel = kernel(home.path());
    let awaited = starting(&mut kernel);
    let generation = crate::start::start(bay.load::<Plain>(1), LONG).unwrap().generation;
    let outcome = Outcome::Started { generation, version: semver::Version::new(1, 0, 0) };
    let report = Report { name: "plain".into(), task: Task::Start, outcome, remains: Vec::new() };
    kernel.sender.send(Message::Done(Box::new(report))).unwrap();
    let (reply, _stopped) = Reply::new();
    let stop = move |kernel: &mut Kernel| kernel.stop("plain".to_owned(), false, reply);
    kernel.sender.send(Message::Ask(Box::new(stop))).unwrap();
    assert!(kernel.wait().is_none());
    assert!(kernel.held.contains("plain"), "both were taken in");
    let changed = awaited.within(Duration::ZERO).unwrap().unwrap();
    assert_eq!(changed.row.phase, crate::kernel::view::Phase::Running);
}

#[test]
fn what_was_counted_of_a_service_that_is_gone_counts_on_when_it_comes_back() {
    let bay = Bay::new();
    let mut service = Service::new(bay.slot("plain"));
    (service.committed, service.rolled_back, service.past.answered) = (3, 2, 7);
    let why = Trouble::new(Code::Defect, "it broke down");
    let next = service.restarts.count(&crate::config::Supervision::default(), Instant::now(), 0.5);
    assert!(matches!(next, Next::After(_)));
    service.restarts.note(next, &why, None);
    let past = Past::of(service);
    let mut service = Service::new(bay.slot("plain"));
    past.come_back(&mut service);
    let counts = (service.committed, service.rolled_back, service.restarts.total(), service.counts());
    assert_eq!(counts, (3, 2, 1, (7, 0)));
    assert!(!service.restarts.is_recovering(), "none of these counts against it");
}
