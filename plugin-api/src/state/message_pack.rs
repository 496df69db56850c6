//! State as MessagePack: describes itself like JSON, in fewer bytes and less time.

use std::io::{BufRead as _, ErrorKind};
use std::ops::{Deref, DerefMut};

use rmp_serde::decode::ReadRefReader;
use rmp_serde::{Deserializer, Serializer};
use serde::Serialize;
use serde::de::{Deserialize as _, DeserializeOwned, IgnoredAny};

use super::{Encoded, MORE, StateReader, StateWriter};
use crate::{Error, Result};

/// A type with serde whose state is written as MessagePack: `type State = MessagePack<Entries>;`.
///
/// With the names of its fields, so that a later version with more fields still reads it (`#[serde(default)]`).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MessagePack<T>(pub T);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Encoded for MessagePack<T> {
    const CONTENT_TYPE: &'static str = "application/vnd.msgpack";

    fn write(&self, out: &mut StateWriter<'_>) -> Result<()> {
        self.0
            .serialize(&mut Serializer::new(out).with_struct_map())
            .map_err(|e| Error::msg(format_args!("write the state as MessagePack: {e}")))
    }

    fn read(source: &mut StateReader<'_>) -> Result<Self> {
        let read = |e| Error::msg(format_args!("read the state as MessagePack: {e}"));
        if let Some(whole) = source.whole()? {
            // From a slice, texts are not copied on the way. It does not tell how far it came: one more look finds whether that is the end.
            let (mut from, len) = (Deserializer::from_read_ref(whole), whole.len());
            let value = T::deserialize(&mut from).map_err(read)?;
            if !is_at_end(&mut from) {
                return Err(Error::msg(MORE));
            }
            source.consume(len);
            return Ok(Self(value));
        }
        T::deserialize(&mut Deserializer::new(source)).map(Self).map_err(read)
    }
}

/// Whether not one byte is left.
fn is_at_end(from: &mut Deserializer<ReadRefReader<'_, [u8]>>) -> bool {
    match IgnoredAny::deserialize(from) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(error)) => error.kind() == ErrorKind::UnexpectedEof,
        _ => false,
    }
}

impl<T> Deref for MessagePack<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MessagePack<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
