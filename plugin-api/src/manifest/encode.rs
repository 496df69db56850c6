//! The manifest at compile time: a declaration becomes JSON in a static, without one relocation.

use super::json::Json;
use super::{MAGIC, is_valid_name, is_valid_pattern};
use crate::abi::{CONTRACT_MAJOR, CONTRACT_MINOR};
use crate::config::ConfigSchema;
use crate::state::Shape;

/// What the author declares, in the braces of `export_plugin!`. Every field has a default.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// The service that the plugin registers, `[a-z0-9_-]{1,64}`. By default the name of the crate.
    pub name: &'static str,
    /// Its version, semver. By default the version of the crate.
    pub version: &'static str,
    /// Services that must run before this one starts, and stop after it.
    pub requires: &'static [&'static str],
    /// Services that it uses where they run, and starts without. Where it subscribes to `hotbay.service.NAME` it is told when one comes
    /// or goes. Since contract 1.3; an older host starts it without them, and tells nothing.
    pub wants: &'static [&'static str],
    /// Of its methods, those that may be called twice where once was meant, with the same result: a host that is set to retries tries these
    /// again, and no others. Since contract 1.3.
    pub idempotent: &'static [&'static str],
    /// Among services that could start next, the higher number goes first.
    pub priority: i32,
    /// The methods it answers. A caller who asks for another is told these.
    pub methods: &'static [&'static str],
    /// Topics it subscribes to, words with dots between: `orders.created`, `orders.*` for any one word, `orders.>` for all that follows.
    /// Their messages come to [`Plugin::on_message`](crate::Plugin::on_message).
    pub topics: &'static [&'static str],
    /// The queue group that it subscribes in, with other services: of each message one of them gets it. Without one, it gets all.
    pub queue: &'static str,
    /// Topics whose requests it answers, written as `topics` are: they come to [`Plugin::on_request`](crate::Plugin::on_request). Of all who answer
    /// a topic, one is asked.
    pub answers: &'static [&'static str],
    /// Streams that can be opened of it, by name: they come to [`Plugin::on_stream`](crate::Plugin::on_stream). Since contract 1.4; an older host
    /// opens none.
    pub streams: &'static [&'static str],
    /// Of its streams, those that go on in the next version when it is replaced, see [`Stream::resumed`](crate::Stream::resumed). Since
    /// contract 1.4.
    pub resumable: &'static [&'static str],
    /// What it asks the host for. This host only shows it.
    pub capabilities: &'static [&'static str],
    /// What its table of `hotbay.toml` may say: `ConfigSchema::of::<Settings>()` of a type that [`config!`](crate::config!) made, or a
    /// schema of your own by [`ConfigSchema::json`]. The host holds the table against it before it loads the plugin. Without one,
    /// any table is handed to the plugin.
    pub config: ConfigSchema,
}

impl Declaration {
    /// The defaults for a crate of this name and version.
    #[must_use]
    pub const fn of(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            requires: &[],
            wants: &[],
            idempotent: &[],
            priority: 0,
            methods: &[],
            topics: &[],
            queue: "",
            answers: &[],
            streams: &[],
            resumable: &[],
            capabilities: &[],
            config: ConfigSchema::None,
        }
    }
}

/// The manifest as it stands in the file: magic, length, JSON, all inline (an executable's symbol tells no size on
/// Windows and macOS, and a reference would need a relocation).
#[repr(C)]
#[derive(Debug)]
pub struct Embedded<const N: usize> {
    magic: [u8; 16],
    len: [u8; 4],
    json: [u8; N],
}

impl<const N: usize> Embedded<N> {
    /// Encodes; `N` must be [`encoded_len`] of the same arguments.
    ///
    /// # Panics
    /// At compile time: on a name, a topic or a schema that is not allowed, with the reason.
    #[must_use]
    pub const fn new(declaration: &Declaration, state: Option<Shape>) -> Self {
        let json = encode::<N>(declaration, state);
        assert!(json.len == N, "N is not the encoded length");
        Self { magic: MAGIC, len: (N as u32).to_le_bytes(), json: json.bytes }
    }

    /// The JSON.
    #[must_use]
    pub const fn json(&self) -> &[u8; N] {
        &self.json
    }
}

/// How long the JSON of this declaration is, in bytes.
///
/// # Panics
/// At compile time: on a name, a topic or a schema that is not allowed, with the reason.
#[must_use]
pub const fn encoded_len(declaration: &Declaration, state: Option<Shape>) -> usize {
    encode::<0>(declaration, state).len
}

const fn encode<const N: usize>(d: &Declaration, state: Option<Shape>) -> Json<N> {
    assert!(is_valid_name(d.name), "the name must match [a-z0-9_-]{{1,64}} and be no device name of Windows");
    check(d.topics);
    check(d.answers);
    check_within(d.resumable, d.streams);
    let mut json = Json::<N>::new();
    json.raw("{\"name\":");
    json.string(d.name);
    json.raw(",\"version\":");
    json.string(d.version);
    json.raw(",\"contract\":\"");
    json.number(CONTRACT_MAJOR as u64);
    json.raw(".");
    json.number(CONTRACT_MINOR as u64);
    json.raw("\",\"requires\":");
    json.strings(d.requires);
    if !d.wants.is_empty() {
        json.raw(",\"wants\":");
        json.strings(d.wants);
    }
    if !d.idempotent.is_empty() {
        json.raw(",\"idempotent\":");
        json.strings(d.idempotent);
    }
    json.raw(",\"priority\":");
    if d.priority < 0 {
        json.raw("-");
    }
    json.number(d.priority.unsigned_abs() as u64);
    json.raw(",\"methods\":");
    json.strings(d.methods);
    json.raw(",\"topics\":");
    json.strings(d.topics);
    json.raw(",\"queue\":");
    json.string(d.queue);
    json.raw(",\"answers\":");
    json.strings(d.answers);
    if !d.streams.is_empty() {
        json.raw(",\"streams\":");
        json.strings(d.streams);
    }
    if !d.resumable.is_empty() {
        json.raw(",\"resumable\":");
        json.strings(d.resumable);
    }
    json.raw(",\"capabilities\":");
    json.strings(d.capabilities);
    json.raw(",\"config\":");
    json.schema(&d.config);
    json.raw(",\"state\":");
    match state {
        None => json.raw("null"),
        Some(shape) => {
            json.raw("{\"writes\":");
            json.number(shape.schema() as u64);
            json.raw(",\"content_type\":");
            json.string(shape.content_type());
            json.raw(",\"reads\":[");
            let mut at = 0;
            while let Some(schema) = shape.nth_read(at) {
                if at > 0 {
                    json.raw(",");
                }
                json.number(schema as u64);
                at += 1;
            }
            json.raw("],\"back\":[");
            let mut at = 0;
            while let Some((schema, content_type)) = shape.nth_back(at) {
                json.raw(if at > 0 { ",{\"writes\":" } else { "{\"writes\":" });
                json.number(schema as u64);
                json.raw(",\"content_type\":");
                json.string(content_type);
                json.raw("}");
                at += 1;
            }
            json.raw("]}");
        }
    }
    json.raw(",\"toolchain\":");
    json.string(env!("HOTBAY_TOOLCHAIN"));
    json.raw(",\"target\":");
    json.string(env!("HOTBAY_TARGET"));
    json.raw(if cfg!(panic = "unwind") { ",\"panic\":\"unwind\"}" } else { ",\"panic\":\"abort\"}" });
    json
}

const fn check_within(some: &[&str], all: &[&str]) {
    let mut at = 0;
    while at < some.len() {
        let mut known = 0;
        while known < all.len() && !is_same(some[at].as_bytes(), all[known].as_bytes()) {
            known += 1;
        }
        assert!(known < all.len(), "what is declared `resumable` is declared under `streams` as well");
        at += 1;
    }
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

const fn check(topics: &[&str]) {
    let mut at = 0;
    while at < topics.len() {
        assert!(
            is_valid_pattern(topics[at]),
            "a topic is words with dots between; `*` stands for one word, and `>`, at the end, for all that follow"
        );
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Older};
    use crate::prelude::*;
    use crate::{Bytes, Shape};

    /// Schema 3, from 1 by 2, and back to 2.
    struct Three(State<Bytes>);

    impl Plugin for Three {
        fn create(_: Context) -> Result<Self> {
            Ok(Self(State::default()))
        }

        fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
            Err(request.unknown_method())
        }
    }

    impl From<u64> for Bytes {
        fn from(number: u64) -> Self {
            Self(number.to_le_bytes().to_vec())
        }
    }

    impl From<Bytes> for u64 {
        fn from(bytes: Bytes) -> Self {
            bytes.len() as u64
        }
    }

    impl Stateful for Three {
        type State = Bytes;
        const SCHEMA: u32 = 3;
        const STEPS: &'static [Step] =
            &[Step::new::<u64, u64>(1, 2), Step::new::<u64, Bytes>(2, 3), Step::new::<Bytes, u64>(3, 2)];

        fn state(&self) -> &State<Bytes> {
            &self.0
        }
    }

    #[test]
    fn what_is_encoded_at_compile_time_parses_to_the_same() {
        const DECLARATION: Declaration = Declaration {
            requires: &["logger", "kv"],
            wants: &["cache"],
            idempotent: &["get"],
            priority: -7,
            methods: &["quote\"back\\slash\n"],
            topics: &["orders.>"],
            queue: "workers",
            answers: &["orders.price"],
            streams: &["tail", "watch"],
            resumable: &["tail"],
            capabilities: &["http"],
            ..Declaration::of("echo-v2", "2.10.0")
        };
        const STATE: Option<Shape> = Some(Shape::of::<Three>());
        static EMBEDDED: Embedded<{ encoded_len(&DECLARATION, STATE) }> = Embedded::new(&DECLARATION, STATE);

        assert_eq!(EMBEDDED.magic, MAGIC);
        assert_eq!(u32::from_le_bytes(EMBEDDED.len) as usize, EMBEDDED.json.len());
        let manifest: Manifest = serde_json::from_slice(&EMBEDDED.json).unwrap();
        assert_eq!(manifest.name, "echo-v2");
        assert_eq!(manifest.version, "2.10.0");
        assert_eq!(manifest.contract, format!("{CONTRACT_MAJOR}.{CONTRACT_MINOR}"));
        assert_eq!(manifest.requires, ["logger", "kv"]);
        assert_eq!(
            (&*manifest.wants, &*manifest.idempotent),
            (&["cache".to_owned()][..], &["get".to_owned()][..])
        );
        assert_eq!(manifest.priority, -7);
        assert_eq!(manifest.methods, ["quote\"back\\slash\n"]);
        assert_eq!((&manifest.topics[..], &*manifest.queue), (&["orders.>".to_owned()][..], "workers"));
        assert_eq!(manifest.answers, ["orders.price"]);
        let streams = ["tail".to_owned(), "watch".to_owned()];
        assert_eq!((&manifest.streams[..], &manifest.resumable[..]), (&streams[..], &streams[..1]));
        let state = manifest.state.unwrap();
        assert_eq!((state.writes, &state.reads[..]), (3, &[1, 2][..]));
        assert_eq!(state.content_type, "application/octet-stream");
        let back = [Older { writes: 2, content_type: "application/json".to_owned() }];
        assert_eq!(state.back, back);
        assert_eq!(state, STATE.unwrap().to_schema());
        assert_eq!(manifest.panic, "unwind");
        assert!(!manifest.target.is_empty());
    }

    #[test]
    fn a_plugin_without_state_says_so() {
        const DECLARATION: Declaration = Declaration::of("echo", "1.0.0");
        let json = encode::<{ encoded_len(&DECLARATION, None) }>(&DECLARATION, None).bytes;
        assert_eq!(serde_json::from_slice::<Manifest>(&json).unwrap().state, None);
    }
}
