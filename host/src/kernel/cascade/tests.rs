use super::*;

use WhenDependencyStops::{Keep, Restart, Stop};

fn standing(requires: &[&str], policy: WhenDependencyStops, serves: bool) -> Standing {
    let node = Node { requires: requires.iter().map(ToString::to_string).collect(), ..Node::default() };
    Standing { node, policy, serves, held: !serves }
}

fn all(services: &[(&str, &[&str], WhenDependencyStops)], serves: bool) -> All {
    let one = |(name, requires, policy): &(&str, &[&str], _)| {
        (name.to_string(), standing(requires, *policy, serves))
    };
    services.iter().map(one).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn short(plan: &[Planned]) -> Vec<(u32, &str, Action)> {
    plan.iter().map(|step| (step.level, &*step.service, step.action)).collect()
}

#[test]
fn who_does_not_stay_without_it_stops_before_it_and_others_are_kept() {
    let all = all(
        &[
            ("db", &[], Keep),
            ("api", &["db"], Stop),
            ("web", &["api"], Stop),
            ("log", &["db"], Keep),
            ("job", &["db"], Restart),
        ],
        true,
    );
    let plan = stop(&all, &names(&["db"]), Action::Stop);
    let wanted = [
        (1, "web", Action::Stop),
        (2, "api", Action::Stop),
        (3, "db", Action::Stop),
        (4, "job", Action::Keep),
        (4, "log", Action::Keep),
    ];
    assert_eq!(short(&plan), wanted);
    assert_eq!(plan[0].because_of.as_deref(), Some("api"));
    let plan = stop(&all, &names(&["db"]), Action::Restart);
    assert_eq!((plan[3].action, plan[4].action), (Action::Restart, Action::Keep));
}

#[test]
fn independent_services_start_at_one_level_and_a_circle_is_named() {
    let all = all(
        &[
            ("a", &[], Keep),
            ("b", &[], Keep),
            ("c", &["a", "b"], Keep),
            ("x", &["y"], Keep),
            ("y", &["x"], Keep),
        ],
        false,
    );
    let plan = start(&all, &all.keys().cloned().collect());
    assert_eq!(
        short(&plan)[..3],
        [(1, "a", Action::Start), (1, "b", Action::Start), (2, "c", Action::Start)]
    );
    assert_eq!(plan[3].note.as_deref(), Some("cannot start: it requires itself: x → y → x"));
}

#[test]
fn services_that_hang_on_each_other_stop_one_after_the_other() {
    let mut both = all(&[("a", &[], Keep), ("b", &[], Keep), ("c", &["b"], Keep)], true);
    both.get_mut("a").unwrap().node.wants = vec!["b".to_owned()];
    both.get_mut("b").unwrap().node.wants = vec!["a".to_owned(), "c".to_owned()];
    let plan = stop(&both, &names(&["a", "b", "c"]), Action::Stop);
    assert_eq!(short(&plan), [(1, "c", Action::Stop), (2, "b", Action::Stop), (3, "a", Action::Stop)]);
}

#[test]
fn what_is_down_already_is_not_stopped() {
    let all = all(&[("a", &[], Keep)], false);
    assert_eq!(stop(&all, &names(&["a"]), Action::Stop), []);
}

/// The same, of which some were stopped by name, and others followed those.
fn without(mut all: All, stopped: &[&str], followed: &[&str]) -> All {
    for name in stopped.iter().chain(followed) {
        let standing = all.get_mut(*name).unwrap();
        (standing.serves, standing.held) = (false, stopped.contains(name));
    }
    all
}

#[test]
fn who_served_without_it_is_restarted_when_it_starts_and_takes_along_who_does_not_stay() {
    let services: &[(&str, &[&str], _)] = &[
        ("base", &[], Keep),
        ("other", &[], Keep),
        ("top", &["base"], Restart),
        ("abc", &["top"], Stop),
        ("both", &["base", "other"], Restart),
    ];
    let down = without(all(services, true), &["base", "other"], &[]);
    let plan = start(&down, &names(&["base"]));
    let wanted = [(1, "base", Action::Start), (2, "abc", Action::Restart), (3, "top", Action::Restart)];
    assert_eq!(short(&plan), wanted, "`both` misses `other` still");
    assert_eq!((plan[1].because_of.as_deref(), plan[2].because_of.as_deref()), (Some("top"), Some("base")));
    assert_eq!(plan[2].note.as_deref(), Some("when_dependency_stops = \"restart\""));
    assert_eq!(start(&all(services, true), &names(&["base"])), [], "nobody missed it");
}

#[test]
fn who_waits_for_one_that_waits_starts_too_whatever_its_name() {
    let services: &[(&str, &[&str], _)] =
        &[("abc", &["top"], Stop), ("base", &[], Keep), ("top", &["base"], Stop), ("zed", &["abc"], Stop)];
    let down = without(all(services, true), &["base"], &["top", "abc", "zed"]);
    let wanted = [
        (1, "base", Action::Start),
        (2, "top", Action::Start),
        (3, "abc", Action::Start),
        (4, "zed", Action::Start),
    ];
    assert_eq!(short(&start(&down, &names(&["base"]))), wanted);
}

#[test]
fn who_is_restarted_because_of_another_takes_along_who_does_not_stay_without_it() {
    let services: &[(&str, &[&str], _)] = &[
        ("abc", &["top"], Stop),
        ("base", &[], Keep),
        ("far", &["abc"], Restart),
        ("gone", &[], Keep),
        ("kept", &["top"], Keep),
        ("top", &["base"], Restart),
        ("without", &["base", "gone"], Restart),
    ];
    let all = without(all(services, true), &["gone"], &[]);
    let plan = stop(&all, &names(&["base"]), Action::Restart);
    let wanted = [
        (1, "base", Action::Restart),
        (2, "abc", Action::Restart),
        (3, "top", Action::Restart),
        (4, "far", Action::Restart),
        (5, "kept", Action::Keep),
        (5, "without", Action::Keep),
    ];
    assert_eq!(short(&plan), wanted);
    assert_eq!(plan[1].because_of.as_deref(), Some("top"));
}
