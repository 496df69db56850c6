#![doc = include_str!("../README.md")]

pub mod abi;
pub mod config;
mod context;
mod error;
mod export;
mod http;
mod kv;
mod logging;
pub mod manifest;
mod message;
mod method;
mod plugin;
mod state;
mod stream;
pub mod testkit;
mod thread;
mod timer;

pub use abi::Buffer;
pub use config::{ConfigSchema, Setting, Table};
pub use context::{Context, Level};
pub use error::{Error, Result};
pub use export::Export;
pub use http::{Http, HttpRequest, HttpResponse};
pub use kv::Kv;
pub use manifest::Declaration;
pub use message::{Message, MessageId, Outgoing, Published};
pub use method::Method;
pub use plugin::{Plugin, Reply, Request};
#[cfg(feature = "message-pack")]
pub use state::MessagePack;
pub use state::{Bytes, Encoded, Shape, State, StateReader, StateWriter, Stateful, Step, with_capacity};
pub use stream::{Notifier, Opening, Resumed, Stream};
pub use thread::{StopToken, Thread};
pub use timer::Timer;

pub use {serde, serde_json, tracing};

/// Everything a plugin usually needs: `use hotbay_plugin_api::prelude::*;`.
pub mod prelude {
    #[cfg(feature = "message-pack")]
    pub use crate::MessagePack;
    pub use crate::serde::{self, Deserialize, Serialize};
    pub use crate::{
        Buffer, ConfigSchema, Context, Error, Level, Message, Method, Outgoing, Plugin, Published, Reply,
        Request, Result, State, Stateful, Step, StopToken, Stream, Table, Timer,
    };
    pub use crate::{config, export_plugin, serde_json, tracing};
}
