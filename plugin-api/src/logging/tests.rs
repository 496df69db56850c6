//! What of `tracing` comes to a host. The forwarder is this program's for all of its tests: they hold a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::{SPANS, install, set_level};
use crate::testkit::{Running, TestHost};
use crate::{Level, prelude::*};

static ALONE: Mutex<()> = Mutex::new(());

struct Says;

impl Plugin for Says {
    fn create(_: Context) -> Result<Self> {
        Ok(Says)
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        let outer = tracing::info_span!("order", number = 7, paid = tracing::field::Empty);
        let _outer = outer.enter();
        outer.record("paid", true);
        let inner = tracing::debug_span!("item", name = "a pear");
        inner.in_scope(|| tracing::info!(rate = 0.5, odd = %"x y", "taken {}", 1));
        tracing::debug!("looked");
        tracing::warn!(parent: &inner, "late");
        tracing::error!(parent: None, "alone");
        drop(inner);
        match request.method() {
            "deep" => nested(40),
            _ => Ok(()),
        }
    }
}

fn nested(deep: u32) -> Result<()> {
    let span = tracing::info_span!("nested", deep);
    let _inside = span.enter();
    if deep > 0 {
        return nested(deep - 1);
    }
    tracing::info!("at the bottom");
    Ok(())
}

export_plugin!(Says { name: "says", methods: &["all", "deep"] });

fn says() -> (Running<Says>, MutexGuard<'static, ()>) {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    install();
    set_level(Level::Trace as u32);
    (TestHost::new().start::<Says>().unwrap(), alone)
}

#[test]
fn a_line_comes_with_its_fields_and_with_the_spans_that_it_is_said_within() {
    let (says, _alone) = says();
    says.call("all", b"").unwrap();
    let lines: Vec<_> = says.lines().into_iter().map(|line| (line.text, line.fields, line.spans)).collect();
    let order = ("order".to_owned(), json!({"number": 7, "paid": true}));
    let item = ("item".to_owned(), json!({"name": "a pear"}));
    assert_eq!(
        lines,
        [
            ("taken 1".to_owned(), json!({"rate": 0.5, "odd": "x y"}), vec![order.clone(), item.clone()]),
            ("looked".to_owned(), json!({}), vec![order.clone()]),
            ("late".to_owned(), json!({}), vec![order, item]),
            ("alone".to_owned(), json!({}), vec![]),
        ]
    );
    assert_eq!(SPANS.count(), 0);
}

#[test]
fn a_level_that_is_not_wanted_is_not_said_and_its_spans_are_not_there() {
    let (says, _alone) = says();
    set_level(Level::Info as u32);
    assert!(!tracing::enabled!(tracing::Level::DEBUG) && tracing::enabled!(tracing::Level::INFO));
    says.call("all", b"").unwrap();
    let lines: Vec<_> = says.lines().into_iter().map(|line| (line.text, line.spans.len())).collect();
    // The span that the second one names is not wanted, and so is not there.
    let expected = [("taken 1", 1), ("late", 0), ("alone", 0)];
    assert_eq!(lines, expected.map(|(text, spans)| (text.to_owned(), spans)));
    set_level(Level::Error as u32);
    says.call("all", b"").unwrap();
    assert_eq!(says.lines().len(), 4);
}

#[test]
fn spans_that_are_nested_deeper_than_is_kept_do_not_lose_those_around_them() {
    let (says, _alone) = says();
    says.call("deep", b"").unwrap();
    let line = says.lines().into_iter().find(|line| line.text == "at the bottom").unwrap();
    assert_eq!((line.spans[0].0.as_str(), line.spans.len()), ("order", super::spans::DEEP));
    says.call("all", b"").unwrap();
    assert_eq!(says.lines().last().unwrap().text, "alone");
    assert_eq!(SPANS.count(), 0);
}

#[test]
fn an_older_host_gets_the_fields_of_the_spans_in_the_line() {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    install();
    set_level(Level::Trace as u32);
    let says = TestHost::new().of_contract_1_0().start::<Says>().unwrap();
    says.call("all", b"").unwrap();
    assert_eq!(says.log()[0], "taken 1 number=7 paid=true name=\"a pear\" rate=0.5 odd=x y");
    drop(alone);
}
