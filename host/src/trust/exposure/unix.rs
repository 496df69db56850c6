//! By owner and mode.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Place;

const STICKY: u32 = 0o1000;
const GROUP: u32 = 0o020;
const OTHERS: u32 = 0o002;

/// Who else may write there, in words.
pub(super) fn others_at(path: &Path, place: Place) -> io::Result<Option<String>> {
    // A link's own mode says nothing; what a path leads through was resolved before.
    let metadata = std::fs::symlink_metadata(path)?;
    let user = rustix::process::geteuid().as_raw();
    let group_is_own = |group| !has_access_list(path) && is_own_group(group, user);
    Ok(others(metadata.uid(), metadata.gid(), metadata.mode(), place, user, group_is_own))
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
fn has_access_list(path: &Path) -> bool {
    use rustix::io::Errno;
    let none: &mut [u8] = &mut [];
    match rustix::fs::lgetxattr(path, c"system.posix_acl_access", none) {
        // This file has none, or its file system has none at all.
        Err(Errno::NODATA | Errno::NOTSUP) => false,
        _ => true,
    }
}

/// Elsewhere such lists are of other kinds, see the module above.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn has_access_list(_: &Path) -> bool {
    false
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
}
