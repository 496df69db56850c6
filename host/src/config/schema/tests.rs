use serde_json::{Value, json};

use super::Schema;

#[track_caller]
fn schema(json: Value) -> Schema {
    Schema::read(&json).unwrap()
}

fn greeter() -> Schema {
    schema(json!({
        "type": "object",
        "properties": {
            "greeting": {"type": "string", "minLength": 1, "description": "What is said."},
            "times": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1, "format": "uint8"},
            "rate": {"type": "number", "exclusiveMinimum": 0},
            "how": {"enum": ["plain", "loud"]},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": true},
            "limits": {"type": "object", "additionalProperties": {"$ref": "#/$defs/limit"}},
            "signed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["greeting"],
        "additionalProperties": false,
        "$defs": {"limit": {"type": ["integer", "boolean"], "minimum": 0}},
    }))
}

#[test]
fn what_fits_is_taken() {
    for table in [
        json!({"greeting": "Hi"}),
        json!({"greeting": "Hi", "times": 10, "rate": 0.5, "how": "loud", "tags": ["a", "b"], "signed": -1}),
        json!({"greeting": "Hi", "limits": {"a": 0, "b": true}, "times": 1.0}),
    ] {
        assert_eq!(greeter().check(&table), Ok(()), "{table}");
    }
}

#[test]
fn what_does_not_fit_is_told_with_its_key_and_what_was_wanted() {
    for (table, path, what) in [
        (json!({}), "greeting", "is missing: it is to be text of at least so many characters: 1"),
        (json!({"greeting": 7}), "greeting", "is 7, and is to be text of at least so many characters: 1"),
        (json!({"greeting": "x", "times": 0}), "times", "is 0, and is to be a whole number from 1 to 10"),
        (json!({"greeting": "x", "times": 1.5}), "times", "is 1.5, and is to be a whole number from 1 to 10"),
        (json!({"greeting": "x", "rate": 0}), "rate", "is 0, and is to be a number above 0"),
        (json!({"greeting": "x", "how": "soft"}), "how", r#"is "soft", and is to be one of "plain", "loud""#),
        (json!({"greeting": "x", "tags": ["a", 1]}), "tags.1", "is 1, and is to be text"),
        (json!({"greeting": "x", "tags": ["a", "a"]}), "tags", "holds a value twice"),
        (json!({"greeting": "x", "tags": ["a", "b", "c"]}), "tags", "has 3 values, and is to have at most 2"),
        (
            json!({"greeting": "x", "limits": {"a": -1}}),
            "limits.a",
            "is -1, and is to be a whole number or true or false from 0",
        ),
        (json!({"greeting": "x", "signed": "no"}), "signed", r#"is "no", and is to be a whole number"#),
        (json!({"greeting": "x", "tims": 1}), "tims", "is unknown, did you mean `times`?"),
    ] {
        let misfit = greeter().check(&table).unwrap_err();
        assert_eq!((misfit.path.join(".").as_str(), misfit.what.as_str()), (path, what), "{table}");
    }
}

#[test]
fn alternatives_count_what_fits() {
    let either = schema(json!({
        "oneOf": [{"type": "integer"}, {"type": "number", "minimum": 5}],
        "not": {"const": 7.5},
        "allOf": [{"maximum": 9}],
    }));
    assert_eq!(either.check(&json!(1)), Ok(()));
    for (value, word) in [
        (json!(6), "more than one"),
        (json!(1.5), "none of the 2"),
        (json!(7.5), "not to be"),
        (json!(10), "up to 9"),
    ] {
        let misfit = either.check(&value).unwrap_err();
        assert!(misfit.what.contains(word), "{value}: {misfit:?}");
    }
}

#[test]
fn a_schema_is_refused_at_the_door_for_each_word_that_is_not_understood() {
    for (schema, place) in [
        (json!({"properties": {"a": {"type": "string", "pattern": "^x"}}}), "#/properties/a/pattern"),
        (json!({"if": {}}), "#/if"),
        (json!({"type": "text"}), "#/type"),
        (json!({"type": []}), "#/type"),
        (json!({"items": [{}]}), "#/items"),
        (json!({"properties": []}), "#/properties"),
        (json!({"minimum": "1"}), "#/minimum"),
        (json!({"$ref": "https://example.org/schema"}), "#/$ref"),
        (json!({"anyOf": [{"$ref": "#/$defs/none"}]}), "#/anyOf/0/$ref"),
        (json!("object"), "#"),
    ] {
        assert_eq!(Schema::read(&schema).unwrap_err().place, place, "{schema}");
    }
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({"items": deep});
    }
    assert!(Schema::read(&deep).unwrap_err().why.contains("too deep"));
}

#[test]
fn a_schema_that_goes_round_in_circles_ends_and_says_so() {
    let twice = json!({"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]});
    for circle in [json!({"$ref": "#/$defs/a"}), twice] {
        let schema = schema(json!({"$ref": "#/$defs/a", "$defs": {"a": circle}}));
        assert!(schema.check(&json!({})).is_err());
    }
    // One that goes down with the value is none.
    let tree = schema(json!({"type": "object", "additionalProperties": {"$ref": "#"}}));
    assert_eq!(tree.check(&json!({"a": {"b": {}}})), Ok(()));
}
