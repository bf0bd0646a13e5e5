//! Faults help and leak nothing; masks cover every way to a sensitive value.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema(source: &Value) -> Schema {
    Schema::compile(source).unwrap()
}

fn messages(source: &Value, value: &Value) -> Vec<String> {
    schema(source).validate(value).unwrap_err().into_iter().map(|fault| fault.message).collect()
}

fn card() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["card_id", "amount"],
        "properties": {
            "card_id": {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^[0-9]+$"},
            "amount": {"type": "integer", "minimum": 1, "maximum": 500},
            "kind": {"enum": ["debit", "credit"]},
            "since": {"type": "string", "format": "date"},
            "tags": {"type": "array", "maxItems": 2, "uniqueItems": true, "items": {"type": "string"}},
            "by_phone": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    })
}

#[test]
fn faults_name_the_place_and_what_was_expected() {
    let cases = [
        (json!({"amount": 1}), vec!["/card_id is missing"]),
        (json!({"card_id": "1", "amount": "7"}), vec!["/amount must be a whole number, not text"]),
        (json!({"card_id": "1", "amount": 1.5}), vec!["/amount must be a whole number, not a number with a fraction"]),
        (json!({"card_id": "1", "amount": 501}), vec!["/amount must be at most 500"]),
        (json!({"card_id": "1", "amount": 1, "kind": "gold"}), vec!["/kind must be one of \"debit\", \"credit\""]),
        (json!({"card_id": "1", "amount": 1, "since": "yesterday"}), vec!["/since must be a date such as 2026-01-31"]),
        (json!({"card_id": "123456789", "amount": 1}), vec!["/card_id must be at most 8 characters long"]),
        (json!({"card_id": "x", "amount": 1}), vec!["/card_id must match the pattern ^[0-9]+$"]),
        (json!({"card_id": "1", "amount": 1, "cardId": 2}), vec!["/cardId is not a declared field; did you mean `card_id`?"]),
        (json!({"card_id": "1", "amount": 1, "zz": 2}), vec!["/zz is not a declared field; leave it out"]),
        (json!({"card_id": "1", "amount": 1, "tags": ["a", 5]}), vec!["/tags/1 must be text, not a whole number"]),
        (json!({"card_id": "1", "amount": 1, "tags": ["a", "a"]}), vec!["/tags must not have the same entry twice"]),
        (json!([]), vec!["the payload must be an object, not a list"]),
        (json!({}), vec!["/card_id is missing", "/amount is missing"]),
    ];
    for (value, expected) in cases {
        let found = messages(&card(), &value);
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn a_fault_repeats_neither_values_nor_undeclared_keys_that_could_be_values() {
    let value = json!({"card_id": "1", "amount": 1, "by_phone": {"13800138000": "x"}, "110105194912310021": 1, "王小明": 2});
    let faults = schema(&card()).validate(&value).unwrap_err();
    let said = serde_json::to_string(&faults).unwrap();
    for canary in ["13800138000", "110105194912310021", "王小明"] {
        assert!(!said.contains(canary), "{said}");
    }
    assert!(said.contains("/by_phone/* must be a whole number"), "{said}");
}

#[test]
fn at_most_ten_faults_are_reported() {
    let source = json!({"type": "array", "items": {"type": "integer"}});
    assert_eq!(messages(&source, &json!(vec!["x"; 50])).len(), 10);
}

#[test]
fn schemas_that_could_hurt_are_refused() {
    let deep = (0..40).fold(json!({"type": "string"}), |inner, _| json!({"items": inner}));
    for (source, word) in [
        (json!({"$ref": "https://example.com/x.json"}), "only references inside"),
        (json!({"properties": {"a": {"$ref": "other.json#/a"}}}), "only references inside"),
        (json!({"$id": "https://example.com/x"}), "$id"),
        (json!({"$ref": "#/$defs/none"}), "none"),
        (json!({"pattern": "a".repeat(501)}), "at most 500"),
        (json!({"type": "string", "pattern": "(a{1000}){1000}"}), "pattern"),
        (json!({"type": "string", "pattern": "(?=a)"}), "pattern"),
        (json!({"description": "x".repeat(70_000)}), "limit"),
        (json!({"type": "text"}), "/type"),
        (json!({"format": "telephone"}), "telephone"),
        (json!({"properties": {"a": {"x-sensitive": ["image"]}}}), "x-sensitive"),
        (deep, "levels deep"),
    ] {
        let message = Schema::compile(&source).unwrap_err();
        assert!(message.contains(word), "{word}: {message}");
    }
}

fn sensitive_everywhere() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id_number": {"type": "string", "x-sensitive": "id_number"},
            "selfie": {"type": "string", "x-sensitive": "image"},
            "salary": {"type": "integer", "x-sensitive": true},
            "home": {"type": "object", "x-sensitive": "address", "properties": {"street": {"type": "string"}}},
            "people": {"type": "array", "items": {"$ref": "#/$defs/person"}},
            "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string", "x-sensitive": "pin"}]},
            "either": {"oneOf": [{"type": "integer"}, {"type": "object", "properties": {"code": {"x-sensitive": "code"}}}]},
            "by_name": {"type": "object", "additionalProperties": {"type": "string", "x-sensitive": "phone"}},
            "plain": {"type": "string"},
        },
        "$defs": {
            "person": {
                "type": "object",
                "properties": {"name": {"type": "string", "x-sensitive": "name"}, "children": {"type": "array", "items": {"$ref": "#/$defs/person"}}},
            },
        },
    })
}

#[test]
fn marks_are_found_and_masked_wherever_they_hide() {
    let schema = schema(&sensitive_everywhere());
    let pointers: Vec<String> = schema.sensitive().iter().take(100).map(|one| format!("{} {}", one.pointer, one.kind)).collect();
    for expected in [
        "/id_number id_number",
        "/salary value",
        "/people/*/name name",
        "/people/*/children/*/name name",
        "/pair/* pin",
        "/either/code code",
        "/by_name/* phone",
    ] {
        assert!(pointers.iter().any(|pointer| pointer == expected), "{expected} in {pointers:?}");
    }
    let masked = schema.mask(&json!({
        "id_number": "110105194912310021",
        "selfie": "https://images.example/abc.jpg",
        "salary": 12345,
        "home": {"street": "CANARY Street 1"},
        "people": [{"name": "CANARY Smith", "children": [{"name": "CANARY Junior", "children": [{"name": "CANARY III"}]}]}],
        "pair": ["open", "9999"],
        "either": {"code": "CANARY"},
        "by_name": {"a": "13800138000"},
        "plain": "shown",
    }));
    assert_eq!(
        masked,
        json!({
            "id_number": "********0021",
            "selfie": "[image]",
            "salary": "***",
            "home": "***",
            "people": [{"name": "C********", "children": [{"name": "C********", "children": [{"name": "C********"}]}]}],
            "pair": ["open", "[pin]"],
            "either": {"code": "[code]"},
            "by_name": {"a": "********00"},
            "plain": "shown",
        })
    );
}

#[test]
fn what_does_not_fit_the_schema_is_masked_all_the_same() {
    // A payload is masked for the record of a rejection too: its sensitive field may hold an object or a list.
    let masked = schema(&sensitive_everywhere())
        .mask(&json!({"id_number": {"raw": "CANARY"}, "people": [["CANARY"]], "selfie": ["CANARY"], "salary": null}));
    assert_eq!(masked, json!({"id_number": "***", "people": [["CANARY"]], "selfie": "[image]", "salary": null}));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "CANARY[a-z]{3}".prop_map(Value::from)
    ];
    let names = prop::sample::select(vec![
        "card_id",
        "amount",
        "kind",
        "since",
        "tags",
        "by_phone",
        "name",
        "children",
        "people",
        "CANARY-1234567",
    ]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_fault_contains_a_canary(value in any_json()) {
        if let Err(faults) = schema(&card()).validate(&value) {
            let said = serde_json::to_string(&faults).unwrap();
            prop_assert!(!said.contains("CANARY"), "{}", said);
            prop_assert!(!faults.is_empty() && faults.len() <= 10);
        }
    }

    #[test]
    fn a_masked_value_has_no_canary_under_a_mark(value in any_json()) {
        let source = json!({"properties": {"people": {"x-sensitive": "image"}, "name": {"x-sensitive": "secret"}}, "additionalProperties": {"x-sensitive": "file"}, "items": {"x-sensitive": "file"}});
        let masked = schema(&source).mask(&value);
        if value.is_object() || value.is_array() {
            let shown: Vec<&Value> = match &masked {
                Value::Object(map) => map.values().collect(),
                Value::Array(items) => items.iter().collect(),
                _ => Vec::new(),
            };
            for one in shown {
                prop_assert!(!one.to_string().contains("CANARY"), "{}", masked);
            }
        }
    }
}
