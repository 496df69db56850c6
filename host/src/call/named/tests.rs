use hotbay_plugin_api::abi::Lent;
use hotbay_plugin_api::prelude::*;

use super::*;
use crate::linked::Bay;

/// Answers each method with its name.
struct Parrot;

impl Plugin for Parrot {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        reply.write(request.method().as_bytes())
    }
}

export_plugin!(Parrot { name: "parrot", methods: &["one", "two"] });

fn call(bay: &Bay, service: &str, method: &str) -> Result<String, CallError> {
    let mut reply = Vec::new();
    bay.registry.call(service, method, b"", Lent::new(&mut reply).out()).map_err(|error| *error)?;
    Ok(String::from_utf8(reply).unwrap())
}

#[test]
fn more_names_than_there_are_places_are_each_answered_by_their_own_method() {
    let bay = Bay::new();
    let (_, generation) = bay.serve::<Parrot>();
    let mut names: Vec<String> = (0..5 * PLACES).map(|number| format!("method{number}")).collect();
    names.extend(["one", "two", "", "x", &"long".repeat(LONGEST)].map(str::to_owned));
    let shared = |name: &String| {
        names.iter().any(|other| other != name && place_of(("", other)) == place_of(("", name)))
    };
    assert!(names.iter().any(shared), "names that lead to one place");
    for _ in 0..2 * PATIENCE {
        for name in &names {
            assert_eq!(call(&bay, "parrot", name).unwrap(), *name);
        }
    }
    let counts = generation.tally.counts();
    assert_eq!(
        (counts.entered, counts.answered),
        (counts.answered, u64::from(2 * PATIENCE) * names.len() as u64)
    );
}

#[test]
fn a_name_that_is_forgotten_is_refused_and_found_when_it_is_registered_again() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Parrot>();
    let twice = || [(); 2].map(|()| call(&bay, "parrot", "one"));
    twice().into_iter().for_each(|answer| assert_eq!(answer.unwrap(), "one"));
    bay.registry.remove("parrot");
    for answer in twice() {
        assert!(matches!(answer, Err(CallError::NoSuchService { .. })), "{answer:?}");
    }
    assert!(Arc::ptr_eq(&bay.slot("parrot"), &slot));
    twice().into_iter().for_each(|answer| assert_eq!(answer.unwrap(), "one"));
    assert_eq!(generation.tally.counts().answered, 4);
}

#[test]
fn two_hosts_that_know_the_same_names_are_not_taken_for_each_other() {
    let bays = [Bay::new(), Bay::new()];
    let served = [bays[0].serve::<Parrot>(), bays[1].serve::<Parrot>()];
    for _ in 0..3 {
        for bay in &bays {
            assert_eq!(call(bay, "parrot", "two").unwrap(), "two");
        }
    }
    assert_eq!(served.map(|(_, generation)| generation.tally.counts().answered), [3, 3]);
}
