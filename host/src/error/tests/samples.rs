//! An error of each variant that has a code, as somebody would meet it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hotbay_state::{Key, KeyError, KeyId, OpenError, SealError, StoreError};

use super::super::{CallError, ControlError, HostError, StreamError, Trouble, of_pinned};
use crate::bus::{NotTaken, Pattern, PublishError, RequestError, SubscribeError};
use crate::config::{Config, ConfigError};
use crate::discover::DiscoverError;
use crate::ffi::{CreateError, LoadError};
use crate::kernel::snapshots::ImportError;
use crate::kernel::view::Phase;
use crate::load::LoadFailed;
use crate::os::Thread;
use crate::probe::ProbeError;
use crate::start::CallbackError;
use crate::trust::{Distrust, samples as distrust};
use crate::unload::Reason;
use crate::verify::{Mark, VerifyError};

const SECONDS: Duration = Duration::from_secs(5);

pub(super) fn all() -> Vec<Trouble> {
    let mut all = start();
    all.extend(files());
    all.extend(lives());
    all.extend(calls());
    all.extend(streams());
    all.extend(messages());
    all.extend(pinned());
    all.extend(state());
    all.extend(keys());
    all
}

fn denied() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "permission denied")
}

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "resource temporarily unavailable")
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such file or directory")
}

fn start() -> Vec<Trouble> {
    let home = || PathBuf::from(".hotbay");
    let wrong = Config::parse("[watch]\nsetle_ms = 1", "hotbay.toml".as_ref()).unwrap_err();
    vec![
        ConfigError::Read { path: "hotbay.toml".into(), source: missing() }.into(),
        wrong.into(),
        HostError::Plugins { path: "plugins".into(), source: missing() }.into(),
        HostError::Home { path: home(), source: denied() }.into(),
        HostError::Locked { path: ".hotbay/lock".into() }.into(),
        HostError::Exposed { path: home(), why: "all users can write to `srv`".to_owned() }.into(),
        HostError::Probe.into(),
        HostError::Thread { name: "hotbay-kernel".to_owned(), source: busy() }.into(),
        HostError::NoKey { name: "HOTBAY_KEY".to_owned() }.into(),
        HostError::NoCredentials { name: "hotbay-key".to_owned() }.into(),
    ]
}

fn files() -> Vec<Trouble> {
    let version = semver::Version::parse("1").unwrap_err();
    let mut all: Vec<Trouble> = vec![
        DiscoverError::NoFile { what: "a folder" }.into(),
        DiscoverError::Link.into(),
        DiscoverError::Open(denied()).into(),
        DiscoverError::Held.into(),
        VerifyError::Read(denied()).into(),
        VerifyError::Schema {
            place: "#/properties/name/pattern".to_owned(),
            why: "is a word of JSON Schema that this host does not understand".to_owned(),
        }
        .into(),
        VerifyError::NoRoom(
            "failed to load it now: of 64 open files (RLIMIT_NOFILE) 49 are taken, and a load is begun with 16 left; raise it, by `ulimit -n` or \
             `LimitNOFILE=`, or take plugins away; it is tried again by itself"
                .to_owned(),
        )
        .into(),
        VerifyError::Broken("a section lies beyond the end of the file".to_owned()).into(),
        VerifyError::Empty.into(),
        VerifyError::Moving.into(),
        VerifyError::TooLarge(10 << 30).into(),
        VerifyError::NoLibrary.into(),
        VerifyError::OtherTarget { found: "aarch64 ELF".to_owned(), ours: "x86_64 ELF".to_owned() }.into(),
        VerifyError::Universal.into(),
        VerifyError::Missing { library: "libssl.so.3".to_owned(), beside: false }.into(),
        VerifyError::ThreadLocals { bytes: 2048, rest: 1664 }.into(),
        VerifyError::NotShared("an executable").into(),
        VerifyError::NoPlugin("HOTBAY_MANIFEST").into(),
        VerifyError::Manifest("expected value at line 1 column 1".to_owned()).into(),
        VerifyError::Contract("2.0".to_owned()).into(),
        VerifyError::Name("My Plugin".to_owned()).into(),
        VerifyError::Version("1".to_owned(), version).into(),
        VerifyError::Aborts.into(),
    ];
    all.extend(distrust().into_iter().map(<Distrust as Into<Trouble>>::into));
    all
}

fn lives() -> Vec<Trouble> {
    let program = || PathBuf::from("/usr/local/bin/hotbay");
    let text = || "the port is taken".to_owned();
    vec![
        ProbeError::Refused { why: CreateError::Failed(text()).into(), report: None }.into(),
        ProbeError::Start { program: program(), text: "too many open files".to_owned() }.into(),
        ProbeError::NoProbe { program: program() }.into(),
        ProbeError::Died {
            stage: "mapping the library and running its constructor".to_owned(),
            how: "it was ended by signal 11 (SIGSEGV)".to_owned(),
        }
        .into(),
        ProbeError::Hung {
            stage: "mapping the library and running its constructor".to_owned(),
            deadline: SECONDS,
        }
        .into(),
        LoadError::NoSlots.into(),
        LoadError::Header("0.10".to_owned()).into(),
        LoadError::Layout { difference: "error: unexpected field".to_owned(), report: None }.into(),
        LoadError::Changed { path: "staged/greeter-911e28954828bc9c-3.so".into() }.into(),
        LoadError::Stale.into(),
        CreateError::Failed(text()).into(),
        CreateError::Panicked("no luck, at src/lib.rs:7:9".to_owned()).into(),
        LoadFailed::Hangs(SECONDS).into(),
        LoadFailed::Lane(busy()).into(),
        LoadFailed::Lost.into(),
        CallbackError::Failed { callback: "start", text: text() }.into(),
        CallbackError::Panicked { callback: "import", text: "no luck, at src/lib.rs:7:9".to_owned() }.into(),
        CallbackError::TooLarge { plugin: "greeter".to_owned(), max: 256 << 20 }.into(),
        CallbackError::Hangs { callback: "export", deadline: SECONDS }.into(),
        crate::drain::DrainError::after(SECONDS).into(),
    ]
}

fn messages() -> Vec<Trouble> {
    let topic = || "orders.created".to_owned();
    let wrong = Pattern::parse("orders..created").unwrap_err();
    let refused = vec![NotTaken { name: "logger".to_owned(), why: "is full", waited: true }];
    vec![
        PublishError::Topic(wrong).into(),
        PublishError::TooManyHops { topic: topic() }.into(),
        PublishError::NotTaken { taken: 2, refused }.into(),
        PublishError::Reserved { topic: "hotbay.service.shop".to_owned() }.into(),
        PublishError::Refused { topic: topic(), text: "the host is being stopped".to_owned() }.into(),
        RequestError::NobodyAnswers {
            topic: "orders.prise".to_owned(),
            known: vec!["orders.price".to_owned(), "stock.*".to_owned()],
        }
        .into(),
        RequestError::NotTaken { topic: topic(), name: "shop".to_owned(), why: "is full" }.into(),
        RequestError::Dropped { topic: topic(), name: "shop".to_owned() }.into(),
        SubscribeError::Group { group: String::new() }.into(),
        SubscribeError::Stopping.into(),
    ]
}

fn calls() -> Vec<Trouble> {
    let service = || "greeter".to_owned();
    let known = || vec!["echo".to_owned(), "greeter".to_owned()];
    vec![
        CallError::NoSuchService { service: "greter".to_owned(), known: known() }.into(),
        CallError::NoSuchMethod {
            service: service(),
            method: "great".to_owned(),
            known: vec!["greet".to_owned()],
        }
        .into(),
        CallError::NotRunning { service: service(), phase: Phase::Stopped, reason: None }.into(),
        CallError::Failed { service: service(), text: "there is no name to greet".to_owned() }.into(),
        CallError::Panicked { service: service(), text: "no luck, at src/lib.rs:7:9".to_owned() }.into(),
        CallError::TimedOut { service: service(), deadline: SECONDS, doing: "is still at it" }.into(),
        CallError::TooManyHops { service: service(), limit: 32 }.into(),
        CallError::Cancelled { service: service() }.into(),
        CallError::Refused { service: service(), text: "1024 requests wait already".to_owned() }.into(),
        CallError::BreakerOpen {
            service: service(),
            why: "13 of 20 calls failed within 10000 ms".to_owned(),
            retry_after: Some(SECONDS),
        }
        .into(),
        CallError::TooManyInside { service: service(), limit: 8 }.into(),
        CallError::TooFast { service: service(), per_second: 10, retry_after: SECONDS / 50 }.into(),
        ControlError::NotFound { name: "greter".to_owned(), known: known() }.into(),
        ControlError::Superseded { command: "start", name: service(), by: "it was stopped meanwhile" }.into(),
        ControlError::Busy { command: "roll back", name: service(), with: "a swap" }.into(),
        ControlError::TimedOut { name: service(), deadline: SECONDS, phase: Phase::Swapping }.into(),
        ControlError::Stopping.into(),
    ]
}

fn streams() -> Vec<Trouble> {
    let (service, method) = (|| "greeter".to_owned(), || "tail".to_owned());
    vec![
        CallError::NoSuchStream { service: service(), method: "tial".to_owned(), known: vec![method()] }
            .into(),
        CallError::TooManyStreams { service: service(), limit: 64 }.into(),
        StreamError::Moved { service: service(), method: method() }.into(),
        StreamError::Finished { service: service(), method: method() }.into(),
        StreamError::TooLong { service: service(), method: method() }.into(),
        StreamError::Gone { service: service(), method: method() }.into(),
    ]
}

fn pinned() -> Vec<Trouble> {
    let thread = || vec![Thread { id: 17, name: "worker".to_owned() }];
    let threads = |runs, called| Reason::Threads { runs, began: Vec::new(), called };
    let reasons = [
        Reason::Calls { deadline: SECONDS },
        threads(thread(), Vec::new()),
        threads(Vec::new(), thread()),
        Reason::Marked(Mark::NoDelete),
        Reason::Busy { deadline: SECONDS },
        Reason::Unexplained,
        Reason::Unseen(denied()),
    ];
    reasons.iter().map(|reason| Trouble::new(of_pinned(reason), reason.to_string())).collect()
}

fn ids() -> [KeyId; 2] {
    [[1; 16], [2; 16]].map(|mut bytes| {
        bytes[0] = 9;
        Key::new(&bytes).unwrap().id()
    })
}

fn state() -> Vec<Trouble> {
    let [sealed_with, ours] = ids();
    let path = || PathBuf::from(".hotbay/state/greeter.state");
    let service = || "greeter".to_owned();
    let load = |source| StoreError::Load { path: path(), source };
    vec![
        load(OpenError::NotState).into(),
        load(OpenError::Truncated { got: 100, expected: 4096 }).into(),
        load(OpenError::Newer { format: 9, known: 2 }).into(),
        load(OpenError::BadHeader { problem: "its length is no length" }).into(),
        load(OpenError::OtherService { found: "echo".to_owned(), asked: service() }).into(),
        load(OpenError::WrongKey { sealed_with, ours }).into(),
        load(OpenError::HeaderChanged).into(),
        load(OpenError::Damaged { chunk: 0 }).into(),
        load(OpenError::Misplaced { chunk: 1, belongs: 2 }).into(),
        load(OpenError::Trailing { extra: 16 }).into(),
        load(OpenError::Read { source: denied() }).into(),
        StoreError::Service { service: "../greeter".to_owned() }.into(),
        SealError::Text { field: "plugin version", text: "1.0.0 β".to_owned() }.into(),
        ImportError::TooLarge { max: 256 << 20 }.into(),
        ImportError::Capsule { service: service(), why: OpenError::NotState }.into(),
        SealError::Length { declared: 10, got: 9 }.into(),
        SealError::Write { source: io::Error::other("no space left on device") }.into(),
        SealError::Random { source: denied() }.into(),
        StoreError::Folder { path: ".hotbay/state".into(), source: denied() }.into(),
        StoreError::Older { path: path(), service: service(), found: 7, known: 9 }.into(),
        StoreError::Gone { path: path(), service: service(), known: 9 }.into(),
        StoreError::NoSuch { service: service(), sequence: 3, kept_ones: vec![9, 8, 7] }.into(),
        StoreError::Quarantine { path: path(), source: denied() }.into(),
        StoreError::Aside { path: path(), source: denied() }.into(),
    ]
}

fn keys() -> Vec<Trouble> {
    let [id, _] = ids();
    let path = || PathBuf::from("state.key");
    vec![
        KeyError::Content { path: path(), source: Box::new(KeyError::Length { got: 33 }) }.into(),
        KeyError::Text.into(),
        KeyError::Guessable { bytes: 32 }.into(),
        KeyError::Read { path: path(), source: missing() }.into(),
        KeyError::Exposed { path: path(), mode: 0o644 }.into(),
        KeyError::Owner { path: path(), owner: 0, user: 1000 }.into(),
        KeyError::TooMany { limit: 32 }.into(),
        KeyError::Unknown { id }.into(),
        KeyError::Primary { id }.into(),
    ]
}
