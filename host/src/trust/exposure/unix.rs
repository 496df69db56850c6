//! By owner and mode.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Place;

const STICKY: u32 = 0o1000;
const GROUP: u32 = 0o020;
const OTHERS: u32 = 0o002;

/// Who else may write there, in words. Of a link, who may make it another one by its name: its folder says the rest.
pub(super) fn others_at(path: &Path, place: Place) -> io::Result<Option<String>> {
    Ok(others_with(&std::fs::symlink_metadata(path)?, place, || access_list::is_at(path)))
}

/// The same of what is open, whatever lies at its path by now.
pub(super) fn others_of(file: &File, place: Place) -> io::Result<Option<String>> {
    Ok(others_with(&file.metadata()?, place, || access_list::is_of(file)))
}

fn others_with(metadata: &Metadata, place: Place, has_access_list: impl Fn() -> bool) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    let group_is_own = |group| !has_access_list() && is_own_group(group, user);
    // A link's own mode says nothing.
    let mode = if metadata.is_symlink() { 0 } else { metadata.mode() };
    others(metadata.uid(), metadata.gid(), mode, place, user, group_is_own)
}

fn others(
    owner: u32,
    group: u32,
    mode: u32,
    place: Place,
    user: u32,
    group_is_own: impl Fn(u32) -> bool,
) -> Option<String> {
    if owner != user && owner != 0 {
        return Some(format!("belongs to user {owner}, and this host runs as {user}"));
    }
    if place == Place::Above && mode & STICKY != 0 {
        return None;
    }
    let shown = mode & 0o7777;
    if mode & OTHERS != 0 {
        return Some(format!("can be written by everybody (mode {shown:o}); `chmod o-w` ends that"));
    }
    if mode & GROUP != 0 && !group_is_own(group) {
        return Some(format!("can be written by group {group} (mode {shown:o}); `chmod g-w` ends that"));
    }
    None
}

/// Whether an access list may let others in than the group. Where that cannot be told, one may.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod access_list {
    use std::ffi::CStr;
    use std::fs::File;
    use std::path::Path;

    use rustix::fs::{fgetxattr, lgetxattr};
    use rustix::io::Errno;

    const NAME: &CStr = c"system.posix_acl_access";

    pub(super) fn is_at(path: &Path) -> bool {
        let none: &mut [u8] = &mut [];
        is_one(lgetxattr(path, NAME, none))
    }

    pub(super) fn is_of(file: &File) -> bool {
        let none: &mut [u8] = &mut [];
        is_one(fgetxattr(file, NAME, none))
    }

    fn is_one(found: Result<usize, Errno>) -> bool {
        // This file has none, or its file system has none at all.
        !matches!(found, Err(Errno::NODATA | Errno::NOTSUP))
    }
}

/// Elsewhere such lists are of other kinds, see the module above.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod access_list {
    pub(super) fn is_at(_: &std::path::Path) -> bool {
        false
    }

    pub(super) fn is_of(_: &std::fs::File) -> bool {
        false
    }
}

/// Whether a group is the user's own, by the system's files. A user whom other services know, as a directory does, has none.
fn is_own_group(group: u32, user: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    is_own(group, user, &read("/etc/passwd"), &read("/etc/group"))
}

fn is_own(group: u32, user: u32, users: &str, groups: &str) -> bool {
    let entries = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    };
    let (users, groups) = (entries(users), entries(groups));
    let is = |entry: &[String], at: usize, number: u32| {
        entry.get(at).is_some_and(|field| field.parse() == Ok(number))
    };
    // Of two names for one number, either may be somebody else.
    let mut ours = users.iter().filter(|entry| is(entry, 2, user));
    let (Some(ours), None) = (ours.next(), ours.next()) else { return false };
    let mut these = groups.iter().filter(|entry| is(entry, 2, group));
    let (Some(this), None) = (these.next(), these.next()) else { return false };
    let name = &ours[0];
    let members = this.get(3).map(String::as_str).unwrap_or_default();
    let alone = members.split(',').all(|member| member.is_empty() || member == name);
    // Who has it as the first group is in no list.
    let first_of_others = users.iter().any(|entry| is(entry, 3, group) && entry[0] != *name);
    this[0] == *name && alone && !first_of_others
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/a:/bin/sh\nbob:x:1001:100::/b:/bin/sh\n\
                         eve:x:1002:1004::/e:/bin/sh\ndan:x:1003:1003::/d:/bin/sh\ndan2:x:1003:1003::/d:/bin/sh\n";
    const GROUPS: &str =
        "root:x:0:\nusers:x:100:\nann:x:1000:\nbob:x:1001:eve\neve:x:1002:eve\ndan:x:1003:\n";

    #[test]
    fn a_group_is_the_users_own_where_it_has_the_users_name_and_nobody_else_is_in_it() {
        let own = |group, user| is_own(group, user, USERS, GROUPS);
        assert!(own(0, 0) && own(1000, 1000) && own(1002, 1002));
        // Of another, of many, of the name and with somebody in it, of nobody, of two names.
        assert!(!own(0, 1000) && !own(100, 1001) && !own(1001, 1001) && !own(7, 1000) && !own(1003, 1003));
        // Nobody knows the user.
        assert!(!own(7, 7));
        let shared = format!("{USERS}fay:x:1005:1000::/f:/bin/sh\n");
        assert!(!is_own(1000, 1000, &shared, GROUPS));
        assert!(!is_own(0, 0, "", "") && !is_own(0, 0, ":::\n\n", "::0\n"));
    }

    #[test]
    fn who_may_write_is_read_off_owner_and_mode() {
        let at = |owner, mode, place| others(owner, 5, mode, place, 1000, |_| false).is_some();
        for place in [Place::Own, Place::Above] {
            assert!(!at(1000, 0o755, place) && !at(0, 0o755, place));
            assert!(at(1001, 0o700, place) && at(1000, 0o777, place) && at(1000, 0o775, place));
            assert!(at(1001, 0o1777, place), "who owns a folder may do anything in it");
            let with_own_group = others(1000, 5, 0o775, place, 1000, |group| group == 5);
            assert_eq!(with_own_group, None);
        }
        // Root trusts no user.
        assert!(others(1000, 0, 0o700, Place::Above, 0, |_| true).is_some());
        assert!(!at(0, 0o1777, Place::Above) && at(1000, 0o1777, Place::Own));
    }

    fn with_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_was_opened_is_judged_and_not_what_lies_at_its_path_by_now() {
        let home = tempfile::tempdir().unwrap();
        let [path, clean] = ["lib", "clean"].map(|name| home.path().join(name));
        for (path, mode) in [(&path, 0o666), (&clean, 0o600)] {
            std::fs::write(path, "").unwrap();
            with_mode(path, mode);
        }
        let opened = File::open(&path).unwrap();
        std::fs::rename(clean, &path).unwrap();
        assert_eq!(super::super::of_file(&path, None), None);
        let exposed = super::super::of_file(&path, Some(&opened)).unwrap();
        assert!(exposed.why.contains("by everybody"), "{exposed}");
    }

    #[test]
    fn who_may_exchange_a_link_on_the_way_is_seen_though_it_leads_to_a_folder_of_ours() {
        let home = tempfile::tempdir().unwrap();
        let [clean, open] = ["clean", "open"].map(|name| home.path().join(name));
        for folder in [&clean, &open] {
            std::fs::create_dir(folder).unwrap();
        }
        let link = open.join("plugins");
        std::os::unix::fs::symlink(&clean, &link).unwrap();
        assert_eq!(super::super::of_folder(&link), None);
        with_mode(&open, 0o777);
        assert_eq!(super::super::of_folder(&link).unwrap().path, open);
    }
}
