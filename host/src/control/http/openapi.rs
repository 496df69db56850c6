//! The description of the control plane for programs: OpenAPI 3.1, made of the table of routes and of the types that the answers
//! are written from, so that neither can say something else than is done.

use std::sync::LazyLock;

use axum::body::Bytes;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::Told;
use super::routes::{Answer, Route, SchemaOf, routes};

/// The whole of it, as it goes over the wire: made once, since who asks for it needs no token.
pub(super) fn written() -> Bytes {
    static WRITTEN: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    WRITTEN.clone()
}

fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Told<'static>>();
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(&route, &problem, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hotbay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control plane of one host. All under `/v1` needs the token of the file `token` in its home folder.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, problem: &Schema, schemas: &mut SchemaGenerator) -> Value {
    let named = names(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let asked = route.takes.query.map(parameters).unwrap_or_default();
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "parameters": named.chain(asked).collect::<Vec<_>>(),
        "responses": {
            "200": { "description": "It was done", "content": content(&route.answer, problem, schemas) },
            "default": {
                "description": "It was not done, and why",
                "content": { "application/problem+json": { "schema": problem } },
            },
        },
    });
    if let Answer::YesOrNo = route.answer {
        operation["responses"]["503"] =
            json!({ "description": "Not now, and why", "content": content(&route.answer, problem, schemas) });
    }
    if route.takes.bytes {
        operation["requestBody"] = json!({ "content": { "application/octet-stream": {} } });
    }
    if route.path.starts_with("/v1/") {
        operation["security"] = json!([{ "token": [] }]);
    }
    operation
}

/// What stands between braces.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Each property of the query is one.
fn parameters(query: SchemaOf) -> Vec<Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = query(&mut settings.into_generator());
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let parameter = |(name, mut schema): (String, Value)| {
        let described = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({ "name": name, "in": "query", "required": false, "description": described, "schema": schema })
    };
    properties.into_iter().map(parameter).collect()
}

fn content(answer: &Answer, problem: &Schema, schemas: &mut SchemaGenerator) -> Value {
    match answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema(schemas) } }),
        Answer::Text(kind) => {
            let mut content = Map::new();
            content.insert((*kind).to_owned(), json!({}));
            content.into()
        }
        Answer::YesOrNo => json!({ "text/plain": {} }),
        Answer::Bytes => json!({ "application/octet-stream": {} }),
        // What OpenAPI 3.1 cannot say: each `data` of the stream is of this schema. Of the last one of who missed some, it is a problem.
        Answer::Events(schema) => {
            json!({ "text/event-stream": { "schema": { "anyOf": [schema(schemas), problem] } } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_described_with_what_it_takes_and_what_comes_of_it() {
        let document = document();
        for route in routes() {
            let operation = &document["paths"][route.path][route.method];
            assert_eq!(operation["operationId"], route.name);
            let named = operation["parameters"].as_array().unwrap();
            let in_path = named.iter().filter(|one| one["in"] == "path").count();
            assert_eq!(in_path, route.path.matches('{').count(), "{}", route.path);
            assert_eq!(operation.get("security").is_some(), route.path.starts_with("/v1/"));
        }
        let swap = &document["paths"]["/v1/plugins/{name}/swap"]["post"]["parameters"];
        let names: Vec<&str> =
            swap.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["name", "force", "timeout_ms"]);
        let takes_bytes = |path: &str| document["paths"][path]["post"].get("requestBody").is_some();
        assert!(takes_bytes("/v1/call/{service}/{method}") && takes_bytes("/v1/publish/{topic}"));
        assert!(!takes_bytes("/v1/plugins/{name}/swap"));
    }

    #[test]
    fn it_is_written_once_and_not_for_each_who_asks() {
        assert_eq!(written().as_ptr(), written().as_ptr());
        assert_eq!(serde_json::from_slice::<Value>(&written()).unwrap(), document());
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        fn walk(value: &Value, into: &mut Vec<String>) {
            match value {
                Value::Object(all) => {
                    into.extend(all.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    all.values().for_each(|value| walk(value, into));
                }
                Value::Array(all) => all.iter().for_each(|value| walk(value, into)),
                _ => {}
            }
        }
        let (document, mut found) = (document(), Vec::new());
        walk(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            let path = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(path).is_some(), "{reference}");
        }
    }

    #[test]
    fn no_parameter_is_a_path_or_a_folder_of_this_machine() {
        let document = document().to_string();
        let paths = serde_json::from_str::<Value>(&document).unwrap()["paths"].take();
        for (path, operations) in paths.as_object().unwrap() {
            for operation in operations.as_object().unwrap().values() {
                for one in operation["parameters"].as_array().unwrap() {
                    let name = one["name"].as_str().unwrap();
                    assert!(!["file", "path", "folder", "dir", "home"].contains(&name), "{path}: {name}");
                }
            }
        }
    }
}
