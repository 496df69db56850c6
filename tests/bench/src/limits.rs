//! What a call costs where nothing is loaded, guarded or replaced.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::rounds::{Row, timed};

/// What is sent.
pub const REQUEST: [u8; 64] = [7; 64];

/// How much comes back.
pub const REPLY: usize = 8;

/// The service as a program would have it that needs no plugins.
pub(crate) trait Service: Send + Sync {
    fn add(&self, request: &[u8], reply: &mut Vec<u8>);
    fn first(&self, request: &[u8], reply: &mut Vec<u8>);
    fn add_owned(&self, request: &[u8]) -> Vec<u8>;
}

#[derive(Debug, Default)]
struct Local(AtomicU64);

impl Service for Local {
    fn add(&self, _: &[u8], reply: &mut Vec<u8>) {
        reply.clear();
        reply.extend_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    }

    fn first(&self, request: &[u8], reply: &mut Vec<u8>) {
        reply.clear();
        reply.extend_from_slice(&request[..REPLY]);
    }

    fn add_owned(&self, _: &[u8]) -> Vec<u8> {
        self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec()
    }
}

/// The compiler does not know which it is.
pub(crate) fn service() -> &'static dyn Service {
    black_box(Box::leak(Box::<Local>::default()))
}

extern "C" fn raw(count: &AtomicU64, _: &[u8; 64], reply: &mut [u8; REPLY]) -> usize {
    *reply = count.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    REPLY
}

pub(crate) fn rows() -> Vec<Row> {
    let service = service();
    let (count, raw_count) = (AtomicU64::new(0), AtomicU64::new(0));
    let buffer = || Vec::with_capacity(64);
    let (mut reply, mut first) = (buffer(), buffer());
    let mut raw_reply = [0; REPLY];
    vec![
        Row::new("lock add", move |calls| {
            timed(calls, || {
                black_box(count.fetch_add(1, Ordering::Relaxed));
            })
        }),
        Row::new("raw", move |calls| {
            let function = black_box(raw as extern "C" fn(&AtomicU64, &[u8; 64], &mut [u8; REPLY]) -> usize);
            timed(calls, || {
                black_box(function(&raw_count, black_box(&REQUEST), &mut raw_reply));
                black_box(&raw_reply);
            })
        })
        .over("dyn"),
        Row::new("dyn", move |calls| {
            timed(calls, || {
                service.add(black_box(&REQUEST), &mut reply);
                black_box(&reply);
            })
        }),
        Row::new("dyn first", move |calls| {
            timed(calls, || {
                service.first(black_box(&REQUEST), &mut first);
                black_box(&first);
            })
        }),
        Row::new("dyn owned", move |calls| {
            timed(calls, || {
                black_box(service.add_owned(black_box(&REQUEST)));
            })
        })
        .over("dyn"),
    ]
}
