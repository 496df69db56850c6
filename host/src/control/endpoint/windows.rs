//! A named pipe that only its owner can use. The system's default access list would let others read from it.

use std::io;
use std::path::Path;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Name};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use widestring::U16CString;

/// The pipe `hotbay-<hash of the home folder>`.
#[derive(Debug)]
pub(in crate::control) struct Endpoint {
    pipe: String,
}

impl Endpoint {
    /// Where the host of `home` is to listen.
    pub(in crate::control) fn make(home: &Path) -> io::Result<Self> {
        Self::find(home)
    }

    /// Where the host of `home` listens, if there is one.
    pub(in crate::control) fn find(home: &Path) -> io::Result<Self> {
        let pipe = format!("hotbay-{}", super::short_name(&home.canonicalize()?));
        Ok(Self { pipe })
    }

    /// Listens. A pipe ends with its host, so none is ever left behind.
    pub(in crate::control) fn listen(&self) -> io::Result<Listener> {
        let list = hotbay_state::owner_only(false)?;
        let list =
            U16CString::from_str(list).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let list = SecurityDescriptor::deserialize(&list)?;
        ListenerOptions::new().name(self.name()?).security_descriptor(list).create_tokio()
    }

    pub(in crate::control) async fn connect(&self) -> io::Result<Stream> {
        Stream::connect(self.name()?).await
    }

    /// Whether a client runs as the host's user: the access list of the pipe has seen to that.
    pub(in crate::control) fn is_owners(_: &Stream) -> bool {
        true
    }

    fn name(&self) -> io::Result<Name<'_>> {
        self.pipe.as_str().to_ns_name::<GenericNamespaced>()
    }
}
