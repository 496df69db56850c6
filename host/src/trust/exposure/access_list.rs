//! Access lists of Windows, in its own words for them (SDDL): who may write by one.

/// The system, the administrators, who installs Windows, and the machine's first user, who is an administrator: whatever
/// these want to write, they can. The rights of an owner are whose the thing is.
const MACHINE: [&str; 8] = [
    "SY",
    "S-1-5-18",
    "BA",
    "S-1-5-32-544",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
    "LA",
    "OW",
    "S-1-3-4",
];

/// To write, to add, to take away, to change who may.
pub(super) const WRITE: u32 = 0x2 | 0x4 | 0x40 | DELETE | CHANGE;
/// To take away what is in a folder, or the folder, or to change who may.
pub(super) const REPLACE: u32 = 0x40 | DELETE | CHANGE;

const DELETE: u32 = 0x1_0000;
const CHANGE: u32 = 0x4_0000 | 0x8_0000 | GENERIC_ALL;
const GENERIC_ALL: u32 = 0x1000_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;

/// Rights by their short names.
const NAMES: [(&str, u32); 21] = [
    ("GA", GENERIC_ALL),
    ("GR", 0x8000_0000),
    ("GW", GENERIC_WRITE),
    ("GX", 0x2000_0000),
    ("FA", 0x1f_01ff),
    ("FR", 0x12_0089),
    ("FW", 0x12_0116),
    ("FX", 0x12_00a0),
    ("RC", 0x2_0000),
    ("SD", DELETE),
    ("WD", 0x4_0000),
    ("WO", 0x8_0000),
    ("CC", 0x1),
    ("DC", 0x2),
    ("LC", 0x4),
    ("SW", 0x8),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
];

/// Whether an owner of this number is the user or the machine.
pub(super) fn is_ours(owner: &str, user: &str) -> bool {
    owner == user || MACHINE.contains(&owner)
}

/// The first who is neither the user nor the machine and has one of these rights. What cannot be read is everybody's.
pub(super) fn other_with(list: &str, user: &str, rights: u32) -> Option<String> {
    // The flags of a list have no parentheses. One that is not there lets everybody in.
    let Some((_, entries)) = list.split_once('(') else {
        let none_is_let_in = list.starts_with("D:") && !list.contains("NO_ACCESS_CONTROL");
        return (!none_is_let_in).then(|| "everybody".to_owned());
    };
    entries.split(")(").map(|entry| entry.trim_end_matches(')')).find_map(|entry| {
        let fields: Vec<&str> = entry.split(';').collect();
        let [kind, flags, allowed, .., who] = fields[..] else { return Some("everybody".to_owned()) };
        // A denial lets nobody in; what is only handed down is of other things.
        let is_of_this = !kind.ends_with('D') && !pairs(flags).any(|flag| flag == "IO");
        let reaches = bits(allowed).is_none_or(|bits| bits & (rights | GENERIC_WRITE) != 0);
        (is_of_this && reaches && !is_ours(who, user)).then(|| who.to_owned())
    })
}

fn pairs(text: &str) -> impl Iterator<Item = &str> {
    (0..text.len()).step_by(2).map(|at| text.get(at..at + 2).unwrap_or_default())
}

/// A set of rights; `None` where it cannot be read.
fn bits(rights: &str) -> Option<u32> {
    if let Some(hex) = rights.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok();
    }
    let named = |pair: &str| NAMES.iter().find(|(name, _)| *name == pair).map(|(_, bits)| *bits);
    pairs(rights).try_fold(0, |all, pair| Some(all | named(pair)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "S-1-5-21-1-2-3-1001";

    fn writer(list: &str) -> Option<String> {
        other_with(list, USER, WRITE)
    }

    #[test]
    fn what_is_the_users_and_the_machines_is_nobody_elses() {
        let list = format!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{USER})(A;OICI;0x1200a9;;;BU)");
        assert_eq!(writer(&list), None);
        assert_eq!(writer("D:P"), None, "an empty list lets nobody in");
    }

    #[test]
    fn others_who_may_write_are_named() {
        assert_eq!(writer("D:AI(A;OICIID;0x1301bf;;;AU)").as_deref(), Some("AU"));
        assert_eq!(writer("D:(A;;FA;;;SY)(A;;FW;;;WD)").as_deref(), Some("WD"));
        assert_eq!(writer("D:(A;;GW;;;BU)").as_deref(), Some("BU"));
        assert_eq!(writer("D:(A;;CCDCLC;;;BU)").as_deref(), Some("BU"));
    }

    #[test]
    fn what_cannot_be_read_is_everybodys() {
        for list in ["", "D:NO_ACCESS_CONTROL", "D:(A;;FA)", "D:(A;;??;;;BU)", "O:SY"] {
            assert!(writer(list).is_some(), "{list}");
        }
    }

    #[test]
    fn denials_and_what_is_handed_down_let_nobody_in() {
        assert_eq!(writer("D:(D;;FA;;;WD)(A;OICIIO;FA;;;CO)"), None);
    }

    #[test]
    fn above_a_folder_others_may_add_and_not_take_away() {
        // That of `C:\`.
        let root =
            "D:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)(A;OICIIO;0x1301bf;;;AU)(A;;LC;;;AU)";
        assert_eq!(other_with(root, USER, REPLACE), None);
        assert!(writer(root).is_some());
        assert!(other_with("D:(A;;DT;;;AU)", USER, REPLACE).is_some());
        assert!(other_with("D:(A;;DC;;;AU)", USER, REPLACE).is_none());
    }

    #[test]
    fn the_owner_is_the_user_or_the_machine() {
        let installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
        assert!([USER, "S-1-5-18", "S-1-5-32-544", installer].iter().all(|owner| is_ours(owner, USER)));
        assert!(!is_ours("S-1-5-21-1-2-3-1002", USER));
    }
}
