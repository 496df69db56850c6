//! wasmtime: a typed function of a module, the request copied into its memory and the reply out of it.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use hotbay_bench::{Peer, REPLY, REQUEST, Row, answered, timed};
use wasmtime::{Engine, Instance, Memory, Module, Store, TypedFunc};

/// One addition, its result into the caller's buffer. It needs no atomic one: an instance has one caller at a time.
const MODULE: &str = r#"(module
    (memory (export "memory") 1)
    (global $count (mut i64) (i64.const 0))
    (func (export "add") (param $request i32) (param $length i32) (param $reply i32) (result i32)
        (i64.store (local.get $reply) (global.get $count))
        (global.set $count (i64.add (global.get $count) (i64.const 1)))
        (i32.const 8)))"#;

const REQUEST_AT: usize = 1024;
const REPLY_AT: usize = 2048;

struct Guest {
    store: Store<()>,
    memory: Memory,
    add: TypedFunc<(i32, i32, i32), i32>,
}

impl Guest {
    fn new() -> wasmtime::Result<Self> {
        let engine = Engine::default();
        let module = Module::new(&engine, MODULE)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.ok_or_else(|| wasmtime::Error::msg("the module exports no memory"))?;
        let add = instance.get_typed_func(&mut store, "add")?;
        Ok(Self { store, memory, add })
    }

    fn add(&mut self, request: &[u8; REQUEST.len()], reply: &mut Vec<u8>) -> wasmtime::Result<()> {
        let place = REQUEST_AT..REQUEST_AT + request.len();
        self.memory.data_mut(&mut self.store)[place].copy_from_slice(request);
        let length =
            self.add.call(&mut self.store, (REQUEST_AT as i32, REQUEST.len() as i32, REPLY_AT as i32))?;
        let place = REPLY_AT..REPLY_AT + length as usize;
        reply.extend_from_slice(&self.memory.data(&self.store)[place]);
        Ok(())
    }
}

/// With one owner; and behind a lock, as something that several threads call.
pub(crate) fn peer() -> Result<Peer> {
    let prepare = || -> wasmtime::Result<(Guest, Guest, Vec<u8>)> {
        let (mut one, other, mut reply) = (Guest::new()?, Guest::new()?, Vec::with_capacity(64));
        one.add(&REQUEST, &mut reply)?;
        Ok((one, other, reply))
    };
    let prepared = prepare().map_err(|error| anyhow::anyhow!("{error:#}"));
    let (mut guest, shared, mut reply) = prepared.context("failed to prepare the module")?;
    let (shared, mut locked) = (Mutex::new(shared), Vec::with_capacity(64));
    anyhow::ensure!(reply.len() == REPLY, "the module answered with {} bytes", reply.len());
    let rows = vec![
        Row::new("wasmtime", move |calls| {
            timed(calls, || {
                reply.clear();
                answered(guest.add(black_box(&REQUEST), &mut reply));
                black_box(&reply);
            })
        })
        .over("dyn"),
        Row::new("wasmtime, shared", move |calls| {
            timed(calls, || {
                locked.clear();
                let mut guest = shared.lock().unwrap_or_else(PoisonError::into_inner);
                answered(guest.add(black_box(&REQUEST), &mut locked));
                black_box(&locked);
            })
        })
        .over("dyn"),
    ];
    Ok(Peer { rows, ..Peer::default() })
}
