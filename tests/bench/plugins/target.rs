//! What is measured: a plugin whose methods do next to nothing.

#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hotbay_plugin_api::prelude::*;

struct Target {
    context: Context,
    count: AtomicU64,
    add: OnceLock<Method>,
}

impl Target {
    /// Calls itself through the host, as often as the request's first byte says.
    #[inline(never)]
    fn hop(&self, request: &[u8], reply: &mut Reply<'_>) -> Result<()> {
        let (times, mut answer) = (request[0], Buffer::with_capacity(8));
        let Some(add) = self.add.get() else { return Err(Error::msg("find itself")) };
        for _ in 0..times {
            answer.clear();
            add.call_into(request, &mut answer)?;
        }
        reply.write(&answer)
    }
}

impl Plugin for Target {
    fn create(context: Context) -> Result<Self> {
        Ok(Self { context, count: AtomicU64::new(0), add: OnceLock::new() })
    }

    fn start(&self) -> Result<()> {
        // There is one already where it was stopped before.
        let _ = self.add.set(self.context.method("target", "add")?);
        Ok(())
    }

    #[inline(always)]
    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            // One atomic addition.
            "add" => reply.write(&self.count.fetch_add(1, Ordering::Relaxed).to_le_bytes()),
            // None.
            "first" => reply.write(&request.bytes()[..8]),
            "hop" => self.hop(request.bytes(), reply),
            _ => Err(request.unknown_method()),
        }
    }
}

export_plugin!(Target { name: "target", methods: &["add", "first", "hop"] });
