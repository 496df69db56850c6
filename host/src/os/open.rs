//! How files are opened, and told from each other.

use std::fs::{File, Metadata, OpenOptions};
use std::io;

/// Settings for a new file that only its owner can read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Windows: the folders that such files are made in hand down an access list of their owner alone.
    options
}

/// Takes away from everybody that they can write to a file. Windows: who holds it with [`holding_reader`] does that.
pub(crate) fn make_unwritable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o400))?;
    let _ = file;
    Ok(())
}

/// Settings to open a file for reading, which nobody may write, replace or remove meanwhile on Windows. Other systems have no such thing.
pub(crate) fn holding_reader() -> OpenOptions {
    #[cfg_attr(unix, expect(unused_mut, reason = "Windows sets one thing more"))]
    let mut options = patient_reader();
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(
        &mut options,
        windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ,
    );
    options
}

/// Settings to open a file for reading that never wait, also where the path turned into a FIFO, and follow no link there.
pub(crate) fn patient_reader() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, nonblocking());
    // Windows: no path of a folder is a FIFO, sharing is the default, and links are made by administrators.
    options
}

#[cfg(unix)]
fn nonblocking() -> i32 {
    i32::try_from((rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits()).unwrap_or_default()
}

/// Whether an error says that what was to be opened is a link. Windows: it is not asked for there.
pub(crate) fn is_link(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
    }
    #[cfg(windows)]
    {
        let _ = error;
        false
    }
}

/// What tells one file from another without reading it: device, inode and change time where there are such.
pub(crate) fn identity(metadata: &Metadata) -> [u64; 4] {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        [
            metadata.dev(),
            metadata.ino(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ]
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::MetadataExt;
        [metadata.creation_time(), metadata.last_write_time(), 0, 0]
    }
}
