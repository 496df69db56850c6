//! A named pipe that only its owner can use. The system's default access list would let others read from it.

use std::io;
use std::os::windows::io::AsHandle as _;
use std::path::Path;

use hotbay_state::Security;
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
        let stream = Stream::connect(self.name()?).await?;
        // Before a word is said: any program may have taken the name before our host did, and who is written to can act as
        // who writes.
        if !security(&stream)?.is_owners()? {
            let text = format!(
                r"the pipe \\.\pipe\{} was made by another user: end the program that has it",
                self.pipe
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(stream)
    }

    /// Whether a client runs as the host's user: the access list of the pipe has seen to that.
    pub(in crate::control) fn is_owners(_: &Stream) -> bool {
        true
    }

    fn name(&self) -> io::Result<Name<'_>> {
        self.pipe.as_str().to_ns_name::<GenericNamespaced>()
    }
}

fn security(stream: &Stream) -> io::Result<Security> {
    match stream {
        Stream::NamedPipe(pipe) => Security::of(pipe.inner().as_handle()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipe_is_open_to_its_owner_and_to_who_runs_the_machine() {
        let home = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::make(home.path()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let _listener = endpoint.listen().unwrap();
            let security = security(&endpoint.connect().await.unwrap()).unwrap();
            assert!(security.lets_in_nobody_else().unwrap(), "{security:?}");
        });
    }
}
