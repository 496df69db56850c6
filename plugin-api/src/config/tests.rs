//! What a schema is made of, and what is read.

use std::collections::BTreeMap;

use serde_json::json;

use super::{ConfigSchema, Table};
use crate::manifest::{Embedded, Manifest, encoded_len};
use crate::testkit::TestHost;
use crate::{Declaration, prelude::*};

config! {
    /// The table.
    struct Settings {
        /// What is said
        /// "before" the name.
        greeting: String = "Hello",
        #[range(1..=10)]
        times: u8 = 1,
        how: Tone = Tone::Plain,
        r#type: String,
        limits: BTreeMap<String, u32> = BTreeMap::new(),
        nested: Nested = Nested { on: true, rate: 0.5 },
        /// Where it may be missing.
        signed: Option<i64>,
    }

    struct Nested {
        on: bool = true,
        rate: f64 = 0.5,
    }

    enum Tone {
        Plain = "plain",
        Loud = "loud",
    }
}

const DECLARATION: Declaration =
    Declaration { config: ConfigSchema::of::<Settings>(), ..Declaration::of("greeter", "1.0.0") };
static EMBEDDED: Embedded<{ encoded_len(&DECLARATION, None) }> = Embedded::new(&DECLARATION, None);

#[test]
fn the_schema_of_a_type_is_made_when_it_is_compiled() {
    let manifest: Manifest = serde_json::from_slice(EMBEDDED.json()).unwrap();
    assert_eq!(
        manifest.config.unwrap(),
        json!({
            "type": "object",
            "properties": {
                "greeting": {"type": "string", "description": "What is said \"before\" the name.", "default": "Hello"},
                "times": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                "how": {"enum": ["plain", "loud"]},
                "type": {"type": "string"},
                "limits": {
                    "type": "object",
                    "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32},
                },
                "nested": {
                    "type": "object",
                    "properties": {
                        "on": {"type": "boolean", "default": true},
                        "rate": {"type": "number", "default": 0.5},
                    },
                    "required": [],
                    "additionalProperties": false,
                },
                "signed": {"type": "integer", "description": "Where it may be missing."},
            },
            "required": ["type"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn a_table_is_read_with_its_defaults_and_refused_by_its_key() {
    let read = |json: serde_json::Value| Table::new(json.to_string().as_bytes()).read::<Settings>();
    let settings = read(json!({"type": "x", "nested": {"rate": 1}, "how": "loud"})).unwrap();
    let nested = Nested { on: true, rate: 1.0 };
    assert_eq!((settings.greeting.as_str(), settings.times, settings.r#type.as_str()), ("Hello", 1, "x"));
    assert_eq!((settings.how, settings.nested, settings.signed), (Tone::Loud, nested, None));
    assert!(settings.limits.is_empty());
    for (json, word) in [
        (json!({}), "`type` is missing"),
        (json!({"type": "x", "times": 11}), "`times` is 11, and is to be from 1 to 10"),
        (json!({"type": "x", "greting": "x"}), "unknown key `greting`"),
        (json!({"type": "x", "nested": {"on": 1}}), "`nested`: `on`: "),
        (json!({"type": "x", "how": "soft"}), "`how`: unknown variant `soft`"),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.message().contains(word), "{error}");
    }
}

/// Takes what it is told, but for one word.
struct Greeter(std::sync::RwLock<String>);

impl Plugin for Greeter {
    fn create(context: Context) -> Result<Self> {
        let settings: Settings = context.config()?;
        Ok(Self(settings.greeting.into()))
    }

    fn call(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        reply.write(self.0.read().unwrap().as_bytes())
    }

    fn on_config(&self, table: Table<'_>) -> Result<()> {
        let settings: Settings = table.read()?;
        if settings.greeting == "Go away" {
            return Err(Error::msg("be so rude"));
        }
        *self.0.write().unwrap() = settings.greeting;
        Ok(())
    }
}

export_plugin!(Greeter { name: "greeter", methods: &["greet"], config: ConfigSchema::of::<Settings>() });

#[test]
fn a_changed_table_is_taken_or_refused_with_words() {
    let greeter = TestHost::new().with_config(json!({"type": "x"})).start::<Greeter>().unwrap();
    assert_eq!(greeter.call("greet", b"").unwrap(), b"Hello");
    greeter.configure(json!({"type": "x", "greeting": "Hi"})).unwrap();
    assert_eq!(greeter.call("greet", b"").unwrap(), b"Hi");
    let error = greeter.configure(json!({"type": "x", "greeting": "Go away"})).unwrap_err();
    assert_eq!(error.message(), "be so rude");
    assert_eq!(greeter.call("greet", b"").unwrap(), b"Hi");
}
