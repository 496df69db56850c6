//! Calls and requests through Hotbay.

use std::hint::black_box;
use std::time::Duration;

use hotbay::{Buffer, Handle, Host};

use crate::limits::REQUEST;
use crate::rounds::{Goal, Row, timed};

/// So many times the plugin calls itself for one call from outside, which then hardly counts.
const HOPS: u8 = 100;

/// Far more than a request takes.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn rows(host: &Host, target: &Handle) -> Vec<Row> {
    let mut hop = REQUEST;
    hop[0] = HOPS;
    let [by_add, by_first, by_hop] = ["add", "first", "hop"].map(|name| target.method(name));
    let [mut add, mut first, mut hopped] = [(); 3].map(|()| Buffer::with_capacity(64));
    let (by_name, mut named) = (target.clone(), Vec::with_capacity(64));
    let host = host.clone();
    vec![
        Row::new("call", move |calls| {
            timed(calls, || {
                add.clear();
                answered(by_add.call(black_box(&REQUEST), &mut add));
                black_box(&add);
            })
        })
        .over("dyn")
        .goal(Goal::AtMost(1.3)),
        Row::new("call first", move |calls| {
            timed(calls, || {
                first.clear();
                answered(by_first.call(black_box(&REQUEST), &mut first));
                black_box(&first);
            })
        })
        .over("dyn first")
        .goal(Goal::AddsAtMost(0.6, "lock add")),
        Row::new("by name", move |calls| {
            timed(calls, || {
                named.clear();
                answered(by_name.call("add", black_box(&REQUEST), &mut named));
                black_box(&named);
            })
        })
        .over("dyn"),
        Row::new("name owned", move |calls| {
            timed(calls, || {
                let mut reply = Vec::new();
                answered(host.call("target", "add", black_box(&REQUEST), &mut reply));
                black_box(&reply);
            })
        })
        .over("dyn owned")
        .goal(Goal::AtMost(2.0)),
        Row::new("hop", move |calls| {
            timed(calls.div_ceil(u64::from(HOPS)), || {
                hopped.clear();
                answered(by_hop.call(black_box(&hop), &mut hopped));
                black_box(&hopped);
            })
        })
        .in_steps_of(u64::from(HOPS))
        .over("dyn")
        .goal(Goal::AtMost(5.0)),
    ]
}

pub(crate) fn request(target: &Handle) -> Row {
    let (target, mut reply) = (target.clone(), Vec::with_capacity(64));
    Row::new("request", move |calls| {
        timed(calls, || {
            reply.clear();
            answered(target.request("add", black_box(&REQUEST), &mut reply, DEADLINE));
            black_box(&reply);
        })
    })
    .over("actor")
    .goal(Goal::AtMost(1.1))
}

/// A call that fails is measured by nobody.
#[inline]
pub fn answered<T, E: std::fmt::Display>(answer: Result<T, E>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => failed(&error),
    }
}

#[cold]
fn failed(error: &dyn std::fmt::Display) -> ! {
    panic!("failed to call: {error}")
}
