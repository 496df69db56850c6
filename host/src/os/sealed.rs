//! Bytes that nobody can change any more, also not who made them, and that a library can be mapped from: a sealed file in
//! memory. Linux has such files.
//!
//! Windows: a file that is mapped cannot be written there, and it is staged under a private name, as on macOS; see `stage`.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::fs::File;
    use std::io::{self, Read as _};
    use std::os::fd::{AsFd as _, AsRawFd as _};
    use std::path::{Path, PathBuf};
    use std::process::Stdio;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use memmap2::{Mmap, MmapOptions};
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    use crate::fault;

    /// The system takes 249 bytes; a reader of `/proc/self/maps` wants fewer.
    const LONGEST: usize = 80;

    /// A sealed file in memory, open.
    #[derive(Debug)]
    pub(crate) struct SealedFile {
        file: File,
        name: PathBuf,
        path: PathBuf,
    }

    impl SealedFile {
        /// Reads a file to its end, or to `most` bytes. What `label` says is a part of the name.
        pub(crate) fn copy_of(from: &mut File, most: u64, label: &str) -> io::Result<Self> {
            if let Some(why) = refusal() {
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            Self::filled(from.take(most), label)
        }

        fn filled(mut from: io::Take<&mut File>, label: &str) -> io::Result<Self> {
            // Counts over all hosts of this process: no two have one name, and no two are opened by one path.
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
            let name = format!("{}-{count}", clean(label));
            let mut fresh = create(&name)?;
            // From file to file: the system moves the bytes, once.
            io::copy(&mut from, &mut fresh)?;
            let never_again = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
            fcntl_add_seals(&fresh, never_again)?;
            // Through this one nobody could write in the first place; older kernels map no other for reading.
            let file = File::open(path_of(&fresh, 0))?;
            let path = path_of(&file, count);
            Ok(Self { file, name: format!("/memfd:{name}").into(), path })
        }

        /// What the parent handed down as standard error ([`SealedFile::for_child`]), which from then on goes nowhere.
        pub(crate) fn inherited(name: &Path) -> io::Result<Self> {
            let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
            rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null")?)?;
            let path = path_of(&file, 0);
            Ok(Self { file, name: name.to_owned(), path })
        }

        /// For a child's standard error: of all ways to hand a descriptor down, the standard library has this one, in which no
        /// other child that is started meanwhile gets it as well.
        pub(crate) fn for_child(&self) -> io::Result<Stdio> {
            Ok(self.file.try_clone()?.into())
        }

        /// Its bytes.
        pub(crate) fn map(&self) -> io::Result<Mmap> {
            Ok(MmapOptions::new().map_if_safe(&self.file)?)
        }

        /// A reader of its own, which begins at the first byte.
        pub(crate) fn reader(&self) -> io::Result<File> {
            File::open(&self.path)
        }

        /// How the system lists it among the mappings, `(deleted)` aside.
        pub(crate) fn name(&self) -> &Path {
            &self.name
        }

        /// What this process opens it by. No other has had the same, also not one whose descriptor had the same number: a loader
        /// that knows a path gives out the library that it has opened by it.
        pub(crate) fn path(&self) -> &Path {
            &self.path
        }
    }

    fn create(name: &str) -> io::Result<File> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // From Linux 6.3 on it is to be said that code will be run from it; before, that is not known as a flag.
        let made = match memfd_create(name, flags | MemfdFlags::EXEC) {
            Err(rustix::io::Errno::INVAL) => memfd_create(name, flags),
            made => made,
        };
        Ok(made?.into())
    }

    /// The count is in the way that the path takes to the folder: `.` or nothing between two slashes, by its bits.
    fn path_of(file: &File, count: u64) -> PathBuf {
        let bits =
            (0..u64::BITS - count.leading_zeros()).map(|bit| if count >> bit & 1 == 1 { "./" } else { "/" });
        format!("/proc/self/fd/{}{}", bits.collect::<String>(), file.as_raw_fd()).into()
    }

    fn clean(label: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
        label.chars().take(LONGEST).map(|c| if fits(c) { c } else { '_' }).collect()
    }

    /// Why none can be made and mapped as code here, found out once: an old kernel, `vm.memfd_noexec`, a policy of SELinux, no
    /// `/proc`.
    fn refusal() -> Option<&'static str> {
        static REFUSAL: OnceLock<Option<String>> = OnceLock::new();
        let tried = || {
            fault::point("sealed_file", "")?;
            let sealed = SealedFile::filled(File::open("/proc/self/exe")?.by_ref().take(64), "hotbay-try")?;
            let found = sealed.reader()?.metadata()?;
            if (found.len(), super::super::identity(&found))
                != (64, super::super::identity(&sealed.file.metadata()?))
            {
                return Err(io::Error::other("`/proc/self/fd` leads elsewhere"));
            }
            // SAFETY: O19: the file is sealed, so nobody writes to it or makes it shorter; nothing of it is run.
            unsafe { MmapOptions::new().map_exec(&sealed.file) }.map(drop)
        };
        let refusal = REFUSAL.get_or_init(|| {
            let why = tried().err()?.to_string();
            tracing::info!(
                "verified bytes are staged as files: the system refuses sealed files in memory ({why})"
            );
            Some(why)
        });
        refusal.as_deref()
    }

    #[cfg(test)]
    mod tests {
        use std::io::{Seek as _, Write as _};

        use super::*;

        fn sealed(bytes: &[u8], label: &str) -> SealedFile {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            SealedFile::copy_of(&mut file, 1 << 20, label).unwrap()
        }

        #[test]
        fn nobody_can_write_shorten_or_lengthen_sealed_bytes() {
            let sealed = sealed(b"as they were", "still");
            let again = File::options().read(true).write(true).open(sealed.path()).unwrap();
            let refused = (&again).write_all(b"X").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
            assert!(again.set_len(3).is_err() && again.set_len(300).is_err());
            // SAFETY: nobody has what it would map.
            assert!(unsafe { MmapOptions::new().map_mut(&again) }.is_err());
            assert!(fcntl_add_seals(&again, SealFlags::FUTURE_WRITE).is_err(), "also the seals are sealed");
            assert_eq!(&sealed.map().unwrap()[..], b"as they were");
            assert_eq!(io::read_to_string(sealed.reader().unwrap()).unwrap(), "as they were");
        }

        #[test]
        fn the_list_of_mappings_tells_one_from_the_next() {
            let is_mapped = |sealed: &SealedFile| super::super::super::is_mapped(sealed.name()).unwrap();
            let [first, second] = ["a b\n.so"; 2].map(|label| sealed(b"x", label));
            let map = first.map().unwrap();
            assert!(first.name().to_str().unwrap().starts_with("/memfd:a_b_.so-"), "{first:?}");
            assert!(is_mapped(&first) && !is_mapped(&second));
            drop(map);
            assert!(!is_mapped(&first));
        }

        #[test]
        fn no_two_are_opened_by_one_path_also_where_a_descriptor_comes_back() {
            let mut paths = std::collections::BTreeSet::new();
            for count in 0..200_u8 {
                let sealed = sealed(&[count], "one");
                assert_eq!(std::fs::read(sealed.path()).unwrap(), [count]);
                // As the loader compares them; `Path` takes `a/./b` for `a/b`.
                assert!(paths.insert(sealed.path().as_os_str().to_owned()), "{sealed:?}");
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod elsewhere {
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::process::Stdio;

    use memmap2::Mmap;

    /// There are none.
    #[derive(Debug)]
    pub(crate) enum SealedFile {}

    impl SealedFile {
        pub(crate) fn copy_of(_: &mut File, _: u64, _: &str) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn inherited(_: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn for_child(&self) -> io::Result<Stdio> {
            match *self {}
        }

        pub(crate) fn map(&self) -> io::Result<Mmap> {
            match *self {}
        }

        pub(crate) fn reader(&self) -> io::Result<File> {
            match *self {}
        }

        pub(crate) fn name(&self) -> &Path {
            match *self {}
        }

        pub(crate) fn path(&self) -> &Path {
            match *self {}
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use elsewhere::SealedFile;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::SealedFile;
