//! A socket in the home folder, or in a short folder of its owner's with a link to it in the home folder.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, ListenerOptions, Name};
use interprocess::os::unix::local_socket::ListenerOptionsExt as _;

/// Systems take 104 (macOS) to 108 bytes as the path of a socket, with its end.
const MAX_PATH: usize = 100;
const FILE: &str = "control.sock";
const OWNER_ONLY: u32 = 0o600;

/// The socket of a host.
#[derive(Debug)]
pub(in crate::control) struct Endpoint {
    socket: PathBuf,
    /// In the home folder, where the path of the socket would be too long for the system. It tells clients where the
    /// socket is, also those whose temporary folder is another.
    link: Option<PathBuf>,
}

impl Endpoint {
    /// Where the host of `home` is to listen; makes the folder for it.
    ///
    /// What is there already was left by a host that died: the caller holds the lock on `home`.
    pub(in crate::control) fn make(home: &Path) -> io::Result<Self> {
        let home = home.canonicalize()?;
        let direct = home.join(FILE);
        remove_left_behind(&direct)?;
        if fits(&direct) {
            return Ok(Self { socket: direct, link: None });
        }
        let file = format!("{}.sock", super::short_name(&home));
        let socket = [std::env::temp_dir(), "/tmp".into()]
            .into_iter()
            .map(|folder| folder.join(owner_folder()).join(&file))
            .find(|socket| fits(socket))
            .ok_or_else(|| io::Error::other("there is no temporary folder with a short path"))?;
        make_owner_only(folder_of(&socket))?;
        remove_left_behind(&socket)?;
        symlink(&socket, &direct)?;
        Ok(Self { socket, link: Some(direct) })
    }

    /// Where the host of `home` listens, if there is one.
    pub(in crate::control) fn find(home: &Path) -> io::Result<Self> {
        let direct = home.canonicalize()?.join(FILE);
        if fits(&direct) {
            return Ok(Self { socket: direct, link: None });
        }
        let socket = fs::read_link(&direct)?;
        // Temporary folders are swept: by now somebody else could listen there.
        check_owner_only(folder_of(&socket))?;
        Ok(Self { socket, link: None })
    }

    /// Listens; the socket is the owner's from the start.
    pub(in crate::control) fn listen(&self) -> io::Result<Listener> {
        let options = || Ok::<_, io::Error>(ListenerOptions::new().name(self.name()?));
        match options()?.mode(OWNER_ONLY as _).create_tokio() {
            // macOS cannot set the mode of a socket before it has a name. Until it is set, the folder protects it.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let listener = options()?.create_tokio()?;
                fs::set_permissions(&self.socket, Permissions::from_mode(OWNER_ONLY))?;
                Ok(listener)
            }
            listening => listening,
        }
    }

    pub(in crate::control) async fn connect(&self) -> io::Result<Stream> {
        Stream::connect(self.name()?).await
    }

    /// Whether a client runs as the host's user, or as root.
    ///
    /// The mode of the socket keeps others out; this does where a mode came late (macOS) or counts for nothing.
    pub(in crate::control) fn is_owners(client: &Stream) -> bool {
        let user = client.peer_creds().ok().and_then(|credentials| credentials.euid());
        may_command(user, rustix::process::geteuid().as_raw())
    }

    fn name(&self) -> io::Result<Name<'_>> {
        self.socket.as_path().to_fs_name::<GenericFilePath>()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // The listener takes its socket away itself.
        if let Some(link) = &self.link {
            let _ = fs::remove_file(link);
        }
    }
}

/// A system that does not tell who connects has the mode alone.
fn may_command(client: Option<u32>, host: u32) -> bool {
    client.is_none_or(|client| client == host || client == 0)
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= MAX_PATH
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn owner_folder() -> String {
    format!("hotbay-{}", rustix::process::geteuid().as_raw())
}

/// Removes a socket or a link; whatever else somebody put there is not ours to remove.
fn remove_left_behind(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() || found.is_symlink() => fs::remove_file(path),
        Ok(_) => Err(io::Error::other(format!("`{}` is in the way and is no socket", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_owner_only(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_owner_only(folder),
        made => made,
    }
}

/// In a folder that all can write to, the name may have been taken by somebody else before us.
fn check_owner_only(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("`{}` must be a folder of your own that others cannot use: remove it", folder.display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_the_owners_and_goes_with_the_listener() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().canonicalize().unwrap().join(FILE);
        for _ in 0..2 {
            let endpoint = Endpoint::make(home.path()).unwrap();
            let listener = endpoint.listen().unwrap();
            assert_eq!(mode(&socket), OWNER_ONLY);
            Endpoint::find(home.path()).unwrap().connect().await.unwrap();
            drop((listener, endpoint));
            assert!(!socket.exists());
        }
    }

    #[tokio::test]
    async fn a_long_home_gets_a_short_socket_and_a_link_to_it() {
        let home = tempfile::tempdir().unwrap();
        let long = home.path().join("x".repeat(120));
        fs::create_dir(&long).unwrap();
        let endpoint = Endpoint::make(&long).unwrap();
        let listener = endpoint.listen().unwrap();
        assert!(fits(&endpoint.socket));
        assert_eq!(mode(folder_of(&endpoint.socket)), 0o700);
        assert_eq!(fs::read_link(long.join(FILE)).unwrap(), endpoint.socket);
        Endpoint::find(&long).unwrap().connect().await.unwrap();

        let socket = endpoint.socket.clone();
        drop((listener, endpoint));
        assert!(!socket.exists());
        assert!(Endpoint::find(&long).is_err());
    }

    #[tokio::test]
    async fn what_a_dead_host_left_is_replaced_and_what_is_not_a_socket_is_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Endpoint::make(home.path()).unwrap().listen().unwrap();

        fs::write(&path, "mine").unwrap();
        let error = Endpoint::make(home.path()).unwrap_err();
        assert!(error.to_string().contains("is in the way"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn a_client_is_let_in_by_its_user() {
        let home = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::make(home.path()).unwrap();
        let listener = endpoint.listen().unwrap();
        let (client, accepted) = tokio::join!(endpoint.connect(), listener.accept());
        assert_eq!(accepted.unwrap().peer_creds().unwrap().euid(), Some(rustix::process::geteuid().as_raw()));
        assert!(Endpoint::is_owners(&client.unwrap()));
        assert!(may_command(Some(0), 1000) && may_command(None, 1000) && !may_command(Some(1001), 1000));
        assert!(!may_command(Some(1000), 0));
    }

    #[test]
    fn a_folder_that_others_can_use_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("shared");
        make_owner_only(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(make_owner_only(&folder).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
