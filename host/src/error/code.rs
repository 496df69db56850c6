//! The codes: a number for each kind of trouble, which never means another one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// Whoever wrote or built the plugin.
    Plugin,
    /// Whoever wrote the host, or the program that embeds it.
    Host,
    /// Whoever runs the host: files, settings, keys, the machine.
    Operator,
}

impl Blame {
    /// Reads it where it is one that is known here: a newer host may blame somebody else, and its answer is to be read.
    pub(crate) fn if_known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let told = Option::<serde_json::Value>::deserialize(from)?;
        Ok(told.and_then(|told| serde_json::from_value(told).ok()))
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Blame::Plugin => "plugin",
            Blame::Host => "host",
            Blame::Operator => "operator",
        })
    }
}

macro_rules! codes {
    ($($number:literal $name:ident)*) => {
        /// What kind of trouble a text tells of: `HB0204`. A number is given once; what has gone keeps its own, and no other
        /// gets it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = concat!("`HB`, then ", stringify!($number), " with zeroes before it: `hotbay explain ", stringify!($number), "`.")]
            $name = $number,)*
        }

        impl Code {
            /// All of them, in their order.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];
        }
    };
}

// By stage. New ones are added at the end of their stage; `tests/frozen.rs` holds what there was.
codes! {
    // The command line, settings and folders of a host.
    101 CommandLine
    102 SettingsUnread
    103 SettingsWrong
    104 PluginsFolder
    105 HomeFolder
    106 HomeLocked
    107 HomeExposed
    108 NoProbeEntry
    109 NoThread
    110 NoControlPlane
    111 LogFilter
    112 HomeOfAnother
    140 NeedsRestart
    170 NotInOrder

    // A file: discovered and verified.
    201 NoFile
    202 Link
    203 FileUnread
    204 Damaged
    205 Empty
    206 BeingWritten
    207 TooLarge
    208 NoLibrary
    209 OtherTarget
    210 Universal
    211 NotShared
    212 NoPlugin
    213 NoManifest
    214 OtherContract
    215 NameNotAllowed
    216 VersionNotSemver
    217 PanicAborts
    218 Shadowed
    219 ChangedMeanwhile
    220 FileNameTaken
    221 FileNameNotLibrary
    222 LibraryMissing
    223 ThreadLocalsTooLarge
    240 ConfigSchema

    // Whom a host trusts.
    301 Unsigned
    302 OthersCouldWrite
    303 SignatureUnread
    304 UnknownKey
    305 KeyOfAnother
    306 SignatureDoesNotFit
    307 NotPinned
    308 BelowFloor
    309 FloorUnread
    310 OriginNotNoted
    311 NoPublicKey
    312 KeyTrustedAlready
    313 KeyInSettings
    314 NoSuchTrustedKey
    315 TrustUnread
    316 NotSigned

    // A copy of it, and the throw-away process that maps it first.
    401 NotStaged
    402 ProbeNotStarted
    403 ProbeIsNone
    404 ProbeDied
    405 ProbeHangs
    406 ChangesProcess
    407 BreaksContract

    // Mapped and created.
    501 NotMapped
    502 NoThreadLocalSlots
    503 NoHeader
    504 OtherHeader
    505 OtherLayout
    506 MappedBefore
    507 CreateFailed
    508 CreatePanicked
    509 CreateHangs
    510 LoaderKept
    511 NoRoom
    512 CopyChanged

    // The callbacks of its life, and what it requires.
    601 CallbackFailed
    602 CallbackPanicked
    603 CallbackHangs
    604 ExportTooLarge
    605 RequiresItself
    606 RequiredMissing
    640 ConfigMisfit
    641 ConfigRefused
    642 ConfigAtReload
    660 KeepsPanicking
    661 CallHangs
    662 KeepsFailing
    663 RestartedTooOften
    664 DependencyStopped

    // Calls.
    701 NoSuchService
    702 NoSuchMethod
    703 NotRunning
    704 CallFailed
    705 CallPanicked
    706 CallTimedOut
    707 TooManyHops
    708 CallRefused
    760 BreakerOpen
    761 TooManyInside
    762 TooFast
    780 CallCancelled
    781 NoSuchStream
    782 TooManyStreams
    783 StreamMoved
    784 StreamFinished
    785 ItemTooLong
    786 StreamGone

    // From one version to the next, and back.
    801 NotDrained
    802 SchemaNotRead
    803 RehearsalFailed
    804 NothingToForceFrom
    805 OldIsDown
    806 FailsOnProbation
    807 BringsHostDown
    808 LeftByHand
    809 NothingToGoBackTo
    810 KeptBytesGone

    // Old code that stays mapped.
    901 StillInside
    902 ThreadLeft
    903 ThreadLocalLeft
    904 MarkedToStay
    905 ClosingHangs
    906 StaysUnexplained
    907 CannotBeSeen
    908 OverBudget

    // State at rest.
    1001 NotState
    1002 StateTruncated
    1003 StateNewer
    1004 StateHeader
    1005 StateOfAnother
    1006 StateWrongKey
    1007 StateChanged
    1008 StateMisplaced
    1009 StateTrailing
    1010 StateUnread
    1011 StateName
    1012 StateStamp
    1013 StateTooLong
    1014 StateLength
    1015 StateNotWritten
    1016 NoRandom
    1017 StateFolder
    1018 StateOlder
    1019 StateGone
    1020 NoSuchSnapshot
    1021 NotQuarantined
    1022 NotSetAside
    1023 WentBack
    1024 NothingToSave
    1025 StateInUse

    // The keys that seal it.
    1101 KeyLength
    1102 KeyText
    1103 KeyGuessable
    1104 KeyUnread
    1105 KeyExposed
    1106 KeyOwner
    1107 TooManyKeys
    1108 NoSuchKey
    1109 KeySeals
    1110 KeyNotWritten
    1111 NoKeyInEnvironment
    1112 NoCredentials
    1113 KeysNotInFile
    1114 KeyNeeded
    1115 KeyThere

    // Commands, and the way to the host.
    1201 NothingOfThatName
    1202 NoSuchFile
    1203 Superseded
    1204 Busy
    1205 NotSettled
    1206 Stopping
    1207 IsStopped
    1208 RunsAlready
    1209 NotRead
    1210 NotWritten
    1211 Unreachable
    1212 NotUnderstood
    1213 Silent
    1214 TooLongToSend
    1215 TooManyFollowers
    1216 EventsMissed
    1217 FileThere
    1218 NotUnicode
    1219 NoPluginName
    1220 OwnSide
    1221 NoContractThere
    1222 NoSuchCode
    1223 TooFewCame
    1270 HttpNotLocal
    1271 HttpNoToken
    1272 HttpForeign
    1273 HttpNoRoute
    1274 HttpMethod
    1275 HttpTooLarge
    1276 HttpTooSlow
    1277 HttpBusy
    1278 HttpWrong

    // Messages.
    1301 SubjectWrong
    1302 MessageCircle
    1303 NotTakenByAll
    1304 PublishRefused
    1305 TopicReserved
    1380 NobodyAnswers
    1381 RequestNotTaken
    1382 RequestDropped

    // The host itself.
    9901 Defect
}

impl Code {
    /// What is to be known of it.
    #[must_use]
    pub fn explanation(self) -> &'static super::Explanation {
        super::explained::of(self)
    }

    /// Who can mend it.
    #[must_use]
    pub fn blame(self) -> Blame {
        self.explanation().blame
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("HB{:04}", self.number()))
    }
}

/// A text that is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoCode {
    /// It is of another form.
    #[error("a code is HB and four digits, or its number alone")]
    Malformed,
    /// It is a number that nothing has.
    #[error("there is none of this number")]
    Unknown {
        /// The number.
        number: u16,
    },
}

impl FromStr for Code {
    type Err = NoCode;

    /// Reads `HB0204`, `hb204` or `204`.
    fn from_str(text: &str) -> Result<Self, NoCode> {
        let text = text.trim();
        let has_letters = text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("hb"));
        let digits = if has_letters { &text[2..] } else { text };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoCode::Malformed);
        }
        let number = digits.parse().map_err(|_| NoCode::Malformed)?;
        let known = Code::ALL.iter().copied().find(|code| code.number() == number);
        known.ok_or(NoCode::Unknown { number })
    }
}
