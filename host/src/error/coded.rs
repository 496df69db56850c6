//! Which code an error has: each variant by name, and no wildcard.

use hotbay_state::{KeyError, OpenError, SealError, StoreError};

use super::{CallError, Code, Coded, ControlError, HostError, StreamError, chain};
use crate::bus::{PublishError, RequestError, SubscribeError};
use crate::config::ConfigError;
use crate::discover::DiscoverError;
use crate::drain::DrainError;
use crate::ffi::{CreateError, LoadError};
use crate::kernel::good::GoodError;
use crate::kernel::snapshots::ImportError;
use crate::load::LoadFailed;
use crate::probe::ProbeError;
use crate::start::CallbackError;
use crate::trust::Distrust;
use crate::unload::Reason;
use crate::verify::VerifyError;

impl Coded for HostError {
    fn code(&self) -> Code {
        match self {
            Self::Plugins { .. } => Code::PluginsFolder,
            Self::Home { .. } => Code::HomeFolder,
            Self::Locked { .. } => Code::HomeLocked,
            Self::Exposed { .. } => Code::HomeExposed,
            Self::Key(error) => error.code(),
            Self::NoKey { .. } => Code::NoKeyInEnvironment,
            Self::NoCredentials { .. } => Code::NoCredentials,
            Self::Store(error) => error.code(),
            Self::Probe => Code::NoProbeEntry,
            Self::Thread { .. } => Code::NoThread,
        }
    }

    fn in_words(&self) -> String {
        chain(self)
    }
}

impl Coded for ConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Read { .. } => Code::SettingsUnread,
            Self::Wrong { .. } => Code::SettingsWrong,
        }
    }

    fn in_words(&self) -> String {
        chain(self)
    }
}

impl Coded for StreamError {
    fn code(&self) -> Code {
        match self {
            Self::NotOpened(error) => error.code(),
            Self::Failed { .. } => Code::CallFailed,
            Self::Panicked { .. } => Code::CallPanicked,
            Self::Moved { .. } => Code::StreamMoved,
            Self::Gone { .. } => Code::StreamGone,
            Self::Late { .. } | Self::TimedOut { .. } => Code::CallTimedOut,
            Self::Cancelled { .. } => Code::CallCancelled,
            Self::Finished { .. } => Code::StreamFinished,
            Self::TooLong { .. } => Code::ItemTooLong,
        }
    }
}

impl Coded for PublishError {
    fn code(&self) -> Code {
        match self {
            Self::Topic(_) => Code::SubjectWrong,
            Self::TooManyHops { .. } => Code::MessageCircle,
            Self::NotTaken { .. } => Code::NotTakenByAll,
            Self::Reserved { .. } => Code::TopicReserved,
            Self::Refused { .. } => Code::PublishRefused,
        }
    }
}

impl Coded for RequestError {
    fn code(&self) -> Code {
        match self {
            Self::Topic(_) => Code::SubjectWrong,
            Self::Refused(error) => error.code(),
            Self::NobodyAnswers { .. } => Code::NobodyAnswers,
            Self::NotTaken { .. } => Code::RequestNotTaken,
            Self::Failed { .. } => Code::CallFailed,
            Self::Panicked { .. } => Code::CallPanicked,
            Self::TimedOut { .. } => Code::CallTimedOut,
            Self::Dropped { .. } => Code::RequestDropped,
            Self::Cancelled { .. } => Code::CallCancelled,
        }
    }
}

impl Coded for SubscribeError {
    fn code(&self) -> Code {
        match self {
            Self::Pattern(_) | Self::Group { .. } => Code::SubjectWrong,
            Self::Stopping => Code::Stopping,
        }
    }
}

impl Coded for DiscoverError {
    fn code(&self) -> Code {
        match self {
            Self::Link => Code::Link,
            Self::NoFile { .. } => Code::NoFile,
            Self::Held => Code::BeingWritten,
            Self::Open(_) => Code::FileUnread,
        }
    }
}

impl Coded for VerifyError {
    fn code(&self) -> Code {
        match self {
            Self::Read(_) => Code::FileUnread,
            Self::NoRoom(_) => Code::NoRoom,
            Self::Moving => Code::BeingWritten,
            Self::Empty => Code::Empty,
            Self::TooLarge(_) => Code::TooLarge,
            Self::NoLibrary => Code::NoLibrary,
            Self::Broken(_) => Code::Damaged,
            Self::OtherTarget { .. } => Code::OtherTarget,
            Self::Universal => Code::Universal,
            Self::NotShared(_) => Code::NotShared,
            Self::NoPlugin(_) => Code::NoPlugin,
            Self::Manifest(_) => Code::NoManifest,
            Self::Contract(_) => Code::OtherContract,
            Self::Name(_) => Code::NameNotAllowed,
            Self::Version(..) => Code::VersionNotSemver,
            Self::Schema { .. } => Code::ConfigSchema,
            Self::Aborts => Code::PanicAborts,
            Self::Missing { .. } => Code::LibraryMissing,
            Self::ThreadLocals { .. } => Code::ThreadLocalsTooLarge,
        }
    }
}

impl Coded for Distrust {
    fn code(&self) -> Code {
        match self {
            Self::Unsigned => Code::Unsigned,
            Self::Exposed(_) => Code::OthersCouldWrite,
            Self::Signature { .. } => Code::SignatureUnread,
            Self::UnknownKey(_) => Code::UnknownKey,
            Self::OtherService { .. } => Code::KeyOfAnother,
            Self::Bad { .. } => Code::SignatureDoesNotFit,
            Self::NotPinned { .. } => Code::NotPinned,
            Self::Below { .. } => Code::BelowFloor,
            Self::Floor { .. } => Code::FloorUnread,
        }
    }
}

impl Coded for ProbeError {
    fn code(&self) -> Code {
        match self {
            Self::Refused { why, .. } => why.code,
            Self::Died { .. } => Code::ProbeDied,
            Self::Hung { .. } => Code::ProbeHangs,
            Self::Start { .. } => Code::ProbeNotStarted,
            Self::NoProbe { .. } => Code::ProbeIsNone,
        }
    }
}

impl Coded for LoadError {
    fn code(&self) -> Code {
        match self {
            Self::Open(_) => Code::NotMapped,
            Self::NoSlots => Code::NoThreadLocalSlots,
            Self::NoHeader(_) => Code::NoHeader,
            Self::Header(_) => Code::OtherHeader,
            Self::Layout { .. } => Code::OtherLayout,
            Self::Changed { .. } => Code::CopyChanged,
            Self::Stale => Code::MappedBefore,
        }
    }
}

impl Coded for CreateError {
    fn code(&self) -> Code {
        match self {
            Self::Load(error) => error.code(),
            Self::Failed(_) => Code::CreateFailed,
            Self::Panicked(_) => Code::CreatePanicked,
        }
    }
}

impl Coded for LoadFailed {
    fn code(&self) -> Code {
        match self {
            Self::Create(error) => error.code(),
            Self::Hangs(_) => Code::CreateHangs,
            Self::Loader(..) => Code::LoaderKept,
            Self::Lost => Code::Defect,
            Self::Lane(_) => Code::NoThread,
        }
    }

    fn in_words(&self) -> String {
        chain(self)
    }
}

impl Coded for CallbackError {
    fn code(&self) -> Code {
        match self {
            Self::Failed { .. } => Code::CallbackFailed,
            Self::Panicked { .. } => Code::CallbackPanicked,
            Self::TooLarge { .. } => Code::ExportTooLarge,
            Self::Prevented { why, .. } => why.code,
            Self::Hangs { .. } => Code::CallbackHangs,
        }
    }
}

impl Coded for CallError {
    fn code(&self) -> Code {
        match self {
            Self::NoSuchService { .. } => Code::NoSuchService,
            Self::NoSuchMethod { .. } => Code::NoSuchMethod,
            Self::NoSuchStream { .. } => Code::NoSuchStream,
            Self::TooManyStreams { .. } => Code::TooManyStreams,
            Self::NotRunning { .. } => Code::NotRunning,
            Self::Failed { .. } => Code::CallFailed,
            Self::Panicked { .. } => Code::CallPanicked,
            Self::TimedOut { .. } => Code::CallTimedOut,
            Self::TooManyHops { .. } => Code::TooManyHops,
            Self::Cancelled { .. } => Code::CallCancelled,
            Self::Refused { .. } => Code::CallRefused,
            Self::BreakerOpen { .. } => Code::BreakerOpen,
            Self::TooManyInside { .. } => Code::TooManyInside,
            Self::TooFast { .. } => Code::TooFast,
        }
    }
}

impl Coded for DrainError {
    fn code(&self) -> Code {
        Code::NotDrained
    }
}

impl Coded for ControlError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NothingOfThatName,
            Self::NoFile { reason }
            | Self::Refused { reason }
            | Self::RolledBack { reason, .. }
            | Self::Failed { reason } => reason.code,
            Self::Superseded { .. } => Code::Superseded,
            Self::Busy { .. } => Code::Busy,
            Self::TimedOut { .. } => Code::NotSettled,
            Self::Stopping => Code::Stopping,
        }
    }
}

/// Of a library that stays. It is no error: what it was asked to do is done, save this.
pub(crate) fn of_pinned(reason: &Reason) -> Code {
    match reason {
        Reason::CreateHangs { .. }
        | Reason::Calls { .. }
        | Reason::Callback
        | Reason::Destroy
        | Reason::Lane { .. }
        | Reason::OtherService => Code::StillInside,
        Reason::Threads { runs, began, .. } if runs.is_empty() && began.is_empty() => Code::ThreadLocalLeft,
        Reason::Threads { .. } | Reason::Told { .. } | Reason::Unborn => Code::ThreadLeft,
        Reason::Marked(_) => Code::MarkedToStay,
        Reason::Busy { .. } => Code::ClosingHangs,
        Reason::Unexplained => Code::StaysUnexplained,
        Reason::Unseen(_) => Code::CannotBeSeen,
    }
}

impl Coded for OpenError {
    fn code(&self) -> Code {
        match self {
            Self::NotState => Code::NotState,
            Self::Truncated { .. } => Code::StateTruncated,
            Self::Newer { .. } => Code::StateNewer,
            Self::BadHeader { .. } => Code::StateHeader,
            Self::OtherService { .. } => Code::StateOfAnother,
            Self::WrongKey { .. } => Code::StateWrongKey,
            Self::HeaderChanged | Self::Damaged { .. } => Code::StateChanged,
            Self::Misplaced { .. } => Code::StateMisplaced,
            Self::Trailing { .. } => Code::StateTrailing,
            Self::Read { .. } => Code::StateUnread,
        }
    }

    fn in_words(&self) -> String {
        failed_to(self)
    }
}

impl Coded for SealError {
    fn code(&self) -> Code {
        match self {
            Self::Service { .. } => Code::StateName,
            Self::Text { .. } => Code::StateStamp,
            Self::TooLarge { .. } => Code::StateTooLong,
            Self::Length { .. } => Code::StateLength,
            Self::Write { .. } => Code::StateNotWritten,
            Self::Random { .. } => Code::NoRandom,
        }
    }

    fn in_words(&self) -> String {
        failed_to(self)
    }
}

impl Coded for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::Folder { .. } => Code::StateFolder,
            Self::Service { .. } => Code::StateName,
            Self::Seal { source, .. } => source.code(),
            Self::Capsule { source, .. } | Self::Load { source, .. } => source.code(),
            Self::Head { why, .. } => why.code(),
            Self::Save { .. } => Code::StateNotWritten,
            Self::Older { .. } => Code::StateOlder,
            Self::Gone { .. } => Code::StateGone,
            Self::NoSuch { .. } => Code::NoSuchSnapshot,
            Self::Quarantine { .. } => Code::NotQuarantined,
            Self::Aside { .. } => Code::NotSetAside,
        }
    }

    fn in_words(&self) -> String {
        failed_to(self)
    }
}

impl Coded for KeyError {
    fn code(&self) -> Code {
        match self {
            Self::Length { .. } => Code::KeyLength,
            Self::Text => Code::KeyText,
            Self::Guessable { .. } => Code::KeyGuessable,
            Self::Random { .. } => Code::NoRandom,
            Self::Read { .. } => Code::KeyUnread,
            Self::Exposed { .. } => Code::KeyExposed,
            Self::Owner { .. } => Code::KeyOwner,
            Self::Content { source, .. } => source.code(),
            Self::TooMany { .. } => Code::TooManyKeys,
            Self::Unknown { .. } => Code::NoSuchKey,
            Self::Primary { .. } => Code::KeySeals,
            Self::Create { .. } => Code::KeyNotWritten,
        }
    }

    fn in_words(&self) -> String {
        failed_to(self)
    }
}

impl Coded for ImportError {
    fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Capsule { why, .. } => why.code(),
            Self::TooLarge { .. } => Code::StateTooLong,
        }
    }

    fn in_words(&self) -> String {
        failed_to(self)
    }
}

impl Coded for GoodError {
    fn code(&self) -> Code {
        match self {
            Self::Io(_) => Code::HomeFolder,
            Self::Store(error) => error.code(),
        }
    }
}

/// The storage's texts complete a sentence that begins here.
fn failed_to(error: &dyn std::error::Error) -> String {
    format!("failed to {}", chain(error))
}
