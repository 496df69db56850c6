//! Keys and values, kept by whichever service is the plugin's store.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Context, Error, Result};

/// The plugin's store, by [`Context::kv`]: JSON values by text keys.
///
/// Behind it stands a service that answers the **kv interface**, `kv` where the operator does not name another one (`store` in
/// `[service.NAME]` of `hotbay.toml`). It is asked like any service, so it may be replaced at any time, by a version of its own or by
/// another implementation, without a word to who uses it. The interface is four methods:
///
/// | method | request | answer |
/// |---|---|---|
/// | `set` | a JSON object: keys and values | how many were set: all or none |
/// | `find` | a key, as text | its value as JSON, or nothing where there is no such key |
/// | `delete` | a key, as text | `true` or `false`: whether it was there |
/// | `list` | a prefix, as text | the keys that begin with it, in their order, as a JSON array |
///
/// Keys are shared by all plugins of the store: begin them with your own name (`greeter/…`). Declare the store in `requires`, so that it is
/// started first.
#[derive(Clone)]
pub struct Kv {
    context: Context,
    store: String,
}

impl Context {
    /// The plugin's store. Cheap enough to ask for each time; called any time, its methods between `start` and the end of `stop`.
    #[must_use]
    pub fn kv(&self) -> Kv {
        Kv { context: *self, store: self.link().store() }
    }
}

impl Kv {
    /// The value of a key; `None` where there is no such key.
    ///
    /// # Errors
    /// The store does not answer, or the value is not of this shape.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let value = self.context.call(&self.store, "find", key.as_bytes())?;
        if value.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&value)
            .map(Some)
            .map_err(|e| Error::msg(format_args!("read the value of `{key}`: {e}")))
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The value cannot be written as JSON, or the store does not take it.
    pub fn put<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        self.put_all([(key, value)])
    }

    /// Sets several keys: all or none.
    ///
    /// # Errors
    /// As [`put`](Kv::put).
    pub fn put_all<'a, T: Serialize + ?Sized + 'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a T)>,
    ) -> Result<()> {
        let mut all = serde_json::Map::new();
        for (key, value) in pairs {
            let value = serde_json::to_value(value)
                .map_err(|e| Error::msg(format_args!("write the value of `{key}` as JSON: {e}")))?;
            all.insert(key.to_owned(), value);
        }
        let request = serde_json::to_vec(&all)?;
        self.context.call(&self.store, "set", &request).map(drop)
    }

    /// Deletes a key; whether it was there.
    ///
    /// # Errors
    /// The store does not answer.
    pub fn delete(&self, key: &str) -> Result<bool> {
        self.answer("delete", key)
    }

    /// The keys that begin with this, in their order.
    ///
    /// # Errors
    /// The store does not answer.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.answer("list", prefix)
    }

    fn answer<T: DeserializeOwned>(&self, method: &str, request: &str) -> Result<T> {
        let answer = self.context.call(&self.store, method, request.as_bytes())?;
        serde_json::from_slice(&answer).map_err(|e| {
            Error::msg(format_args!("read the answer of `{}.{method}`, is it a store? {e}", self.store))
        })
    }
}

impl std::fmt::Debug for Kv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kv").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;
    use crate::testkit::TestHost;

    struct Keeps(Context);

    impl Plugin for Keeps {
        fn create(context: Context) -> Result<Self> {
            Ok(Self(context))
        }

        fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
            let kv = self.0.kv();
            match request.method() {
                "put" => kv.put("keeps/last", request.text()?),
                "get" => reply.json(&kv.get::<String>(request.text()?)?),
                "delete" => reply.json(&kv.delete(request.text()?)?),
                "list" => reply.json(&kv.list(request.text()?)?),
                _ => Err(request.unknown_method()),
            }
        }
    }

    crate::export_plugin!(Keeps { name: "keeps", methods: &["put", "get", "delete", "list"] });

    #[test]
    fn the_store_is_asked_by_the_four_methods_of_the_interface() {
        let host = TestHost::new().with_service("kv", |method, request| {
            let answer = match (method, request) {
                ("set", br#"{"keeps/last":"seven"}"#) => "1",
                ("find", b"keeps/last") => "\"seven\"",
                ("find", b"keeps/none") => "",
                ("delete", b"keeps/last") => "true",
                ("list", b"keeps/") => r#"["keeps/last"]"#,
                other => panic!("{other:?}"),
            };
            Ok(answer.as_bytes().to_vec())
        });
        let keeps = host.start::<Keeps>().unwrap();
        for (method, request, answer) in [
            ("put", "seven", ""),
            ("get", "keeps/last", "\"seven\""),
            ("get", "keeps/none", "null"),
            ("delete", "keeps/last", "true"),
            ("list", "keeps/", r#"["keeps/last"]"#),
        ] {
            assert_eq!(keeps.call(method, request.as_bytes()).unwrap(), answer.as_bytes(), "{method}");
        }
    }
}
