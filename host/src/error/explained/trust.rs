//! HB03: a file that may not run here, and keys for signatures.

use super::Explanation;
use crate::error::{Blame, Code};

const UNTOUCHED: &str = "Nothing of the file ran. The version that served before serves on, and every other service is untouched.";
const NOTHING: &str = "Nothing was changed: the same signatures count as before.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::Unsigned,
        title: "It is unsigned, and the settings refuse that",
        blame: Blame::Operator,
        meaning: "`trust.unsigned = \"refuse\"` asks for a signature by a trusted key, or a pin, and the file has neither.",
        causes: &["the signature was not copied with the file: the two belong together"],
        unchanged: UNTOUCHED,
        next: &["sign it: `hotbay sign FILE --key KEY`; `hotbay add FILE` copies both"],
        example: "failed to trust it: it is unsigned, and `trust.unsigned` says to refuse that; sign it with `hotbay sign`",
    },
    Explanation {
        code: Code::OthersCouldWrite,
        title: "It is unsigned, and others could have written it",
        blame: Blame::Operator,
        meaning: "Without a signature a file is taken where only you, or root, could have written it. Its owner or mode, or those of a \
                  folder above it, let somebody else write.",
        causes: &[
            "a plugins folder that a group or everybody can write",
            "a file that another user owns",
            "an access list",
        ],
        unchanged: UNTOUCHED,
        next: &[
            "take the right to write from them (`chmod go-w DIR`), or sign it: `hotbay sign FILE --key KEY`",
            "`trust.unsigned = \"warn\"` in the settings accepts it, and says so each time",
        ],
        example: "failed to trust it: it is unsigned, and others could have written it: `plugins` can be written by all users; take that from them, sign it with `hotbay sign`, or set `trust.unsigned`",
    },
    Explanation {
        code: Code::SignatureUnread,
        title: "The signature cannot be read",
        blame: Blame::Operator,
        meaning: "A file lies where the signature belongs, and it is none. It is never taken for no signature: somebody meant one.",
        causes: &["a copy that was cut off", "a file of another kind that ends in `.minisig`"],
        unchanged: UNTOUCHED,
        next: &["sign it again: `hotbay sign FILE --key KEY`; or remove that file"],
        example: "failed to read its signature `libgreeter.so.minisig`: it is no signature of minisign, or incomplete; sign it again, or remove that file",
    },
    Explanation {
        code: Code::UnknownKey,
        title: "The key that signed it is not trusted here",
        blame: Blame::Operator,
        meaning: "The signature names a key that neither the settings nor the home folder know.",
        causes: &["the key was never added on this host", "`hotbay trust remove` took it away"],
        unchanged: UNTOUCHED,
        next: &[
            "`hotbay trust list` shows those that are trusted; if this one is to be: `hotbay trust add KEY`",
        ],
        example: "failed to trust it: it is signed by key AEFB9654B7A6BE69, which is not trusted here; `hotbay trust add KEY` if it is to be, or remove its signature",
    },
    Explanation {
        code: Code::KeyOfAnother,
        title: "The key may not sign for this service",
        blame: Blame::Operator,
        meaning: "It is trusted for other services only: a vendor's key is not to replace a service of somebody else.",
        causes: &["the key was added with `--service`"],
        unchanged: UNTOUCHED,
        next: &[
            "sign with another key; or let it: `hotbay trust remove NAME`, then `hotbay trust add KEY --service SERVICE`",
        ],
        example: "failed to trust it: it is signed by key `vendor` (AEFB9654B7A6BE69), which may not sign for service `greeter`; let it with `--service`, or sign with another",
    },
    Explanation {
        code: Code::SignatureDoesNotFit,
        title: "The signature does not fit the file",
        blame: Blame::Operator,
        meaning: "Bytes and signature are not of each other, or the signature states another name, version, target or contract. This is \
                  refused whatever the settings say about unsigned files.",
        causes: &[
            "only one of the two files was replaced",
            "the file was changed after it was signed",
            "a signature by `minisign -l`",
        ],
        unchanged: UNTOUCHED,
        next: &[
            "bring both anew: `hotbay add FILE` copies file and signature; `hotbay check FILE` looks at a pair",
        ],
        example: "failed to trust it: its signature by key `release` does not fit: it was made for version 1.0.0; bring file and signature anew, both",
    },
    Explanation {
        code: Code::NotPinned,
        title: "Its digest is not pinned",
        blame: Blame::Operator,
        meaning: "`trust.pins` names the only files that may provide this service, by digest, and this is none of them.",
        causes: &["a new version whose digest was not added"],
        unchanged: UNTOUCHED,
        next: &["if it is to run, add the digest to `trust.pins`; `hotbay check FILE` shows it"],
        example: "failed to trust it: its digest is none of those that are pinned for service `greeter`; add 61e5a000341139d7d1457b9d5342a98a5c04a2e61488ad1b8962823b9bc53392 to `trust.pins` if it is to run",
    },
    Explanation {
        code: Code::BelowFloor,
        title: "Its security version is below what has served",
        blame: Blame::Operator,
        meaning: "A version with a higher security version served here. An older one may have the hole that the newer one mended, also \
                  if it is well signed; what is unsigned counts as 0.",
        causes: &["a signed downgrade", "a version that was signed without `--security`"],
        unchanged: UNTOUCHED,
        next: &[
            "sign a newer one: `hotbay sign FILE --key KEY --security 4`; or go back on purpose: `hotbay trust floor SERVICE 3`",
        ],
        example: "failed to trust it: its security version is 2, and service `greeter` has come to 3; sign a newer one, or `hotbay trust floor greeter 2` goes back",
    },
    Explanation {
        code: Code::FloorUnread,
        title: "How far the service has come is not known",
        blame: Blame::Operator,
        meaning: "The record of the highest security version cannot be read. Until it is set anew nothing of the service is loaded but \
                  what is pinned.",
        causes: &["a damaged disk", "a file that was edited by hand"],
        unchanged: UNTOUCHED,
        next: &["say it anew: `hotbay trust floor SERVICE 3`"],
        example: "failed to read how far service `greeter` has come: it is no number; `hotbay trust floor greeter NUMBER` says it anew",
    },
    Explanation {
        code: Code::OriginNotNoted,
        title: "Where the version comes from could not be noted",
        blame: Blame::Operator,
        meaning: "Before a version runs, it is written down who vouched for it: its kept bytes would otherwise seem to be the user's \
                  own. That write failed. It is tried again by itself.",
        causes: &["the disk of the home folder is full or read-only"],
        unchanged: UNTOUCHED,
        next: &["make room on that disk; `hotbay why SERVICE` shows when it goes on"],
        example: "failed to note where it came from, is the disk of the home folder full?: no space left on device",
    },
    Explanation {
        code: Code::NoPublicKey,
        title: "It is no public key",
        blame: Blame::Operator,
        meaning: "What was given is neither a public key of minisign nor a file with one.",
        causes: &["the secret key's file instead of the one that ends in `.pub`", "a text that was cut off"],
        unchanged: NOTHING,
        next: &["`hotbay trust add release.pub`, or the text that begins with RW in it"],
        example: "failed to read `release`: it is no public key of minisign; that is the second line of `minisign.pub`, and begins with RW, or a file with it",
    },
    Explanation {
        code: Code::KeyTrustedAlready,
        title: "The key, or one of its name, is trusted already",
        blame: Blame::Operator,
        meaning: "A name stands for one key, and a key has one name.",
        causes: &["a new key under the old one's name"],
        unchanged: NOTHING,
        next: &[
            "`hotbay trust list` shows them; `hotbay trust remove NAME` comes first, or `hotbay trust add KEY --name OTHER`",
        ],
        example: "failed to add key AEFB9654B7A6BE69: `release` is trusted already, number AEFB9654B7A6BE69; `hotbay trust remove release` comes first",
    },
    Explanation {
        code: Code::KeyInSettings,
        title: "The key stands in the settings",
        blame: Blame::Operator,
        meaning: "What the settings name is not a command's to take away.",
        causes: &["the key is one of `[trust.keys]`"],
        unchanged: NOTHING,
        next: &[
            "take it out of `[trust.keys]` and restart the host; `hotbay trust list` shows where each key is from",
        ],
        example: "failed to remove key `release`: it stands in the settings; take it out of `[trust.keys]`",
    },
    Explanation {
        code: Code::NoSuchTrustedKey,
        title: "No key of that name or number is trusted",
        blame: Blame::Operator,
        meaning: "Keys are named by what they are called or by their number.",
        causes: &["another home folder than the host's: `--home`"],
        unchanged: NOTHING,
        next: &["`hotbay trust list` shows them"],
        example: "failed to find key `vendor`; there are: release",
    },
    Explanation {
        code: Code::TrustUnread,
        title: "The list of who is trusted cannot be read",
        blame: Blame::Operator,
        meaning: "The folder of keys or of floors in the home folder cannot be read. The host counts a key that it cannot read as \
                  none.",
        causes: &["another user's home folder"],
        unchanged: NOTHING,
        next: &["run it as the user of the host: `sudo -u USER hotbay trust list`"],
        example: "failed to read the keys of the home folder: permission denied",
    },
    Explanation {
        code: Code::NotSigned,
        title: "No key or signature could be made",
        blame: Blame::Operator,
        meaning: "The secret key cannot be read or opened, the password is missing or wrong, or what was signed does not verify.",
        causes: &[
            "a wrong password",
            "no terminal to type it in",
            "a public key's file where the secret one belongs",
        ],
        unchanged: "No signature and no key was written; what lay there before lies there.",
        next: &["try again: `hotbay sign FILE --key KEY --password-file PASSWORD`"],
        example: "failed to read the password: no such file or directory",
    },
];
