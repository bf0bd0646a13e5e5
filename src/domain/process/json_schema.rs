//! The JSON Schema of process files, for editors: completion, and the first mistakes while typing.
//!
//! It knows shapes, not meaning; [`super::parse`] stays the judge. Written by hand because the reader is: the test below
//! holds the two together by their keys.

use serde_json::{Map, Value, json};

use super::texts::CHOICES;

/// The schema of a process file.
#[must_use]
pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mozhao process",
        "description": "How one kind of request is handled. Check a file with `mozhao process check`.",
        "type": "object",
        "additionalProperties": false,
        "required": ["process", "version", "title", "owner", "promise", "customer", "request", "steps", "done_when"],
        "properties": properties(),
        "$defs": definitions(),
    })
}

fn properties() -> Value {
    json!({
        "process": def("name", "The process's name."),
        "version": {"type": "integer", "minimum": 1, "description": "The version; a published version never changes."},
        "title": def("texts", "What the process is called; its languages are those that every text must have."),
        "owner": {"type": "string", "minLength": 1, "description": "The team that answers for it."},
        "audience": {"enum": ["customer", "colleague"], "default": "customer", "description": "Whom it serves."},
        "promise": def("length", "What the customer is told about how long it takes."),
        "expire_after": def("length", "After this long an open request with nothing applied expires; 7d where it is not said."),
        "customer": def("template", "Whose request it is."),
        "request": {"$ref": "https://json-schema.org/draft/2020-12/schema", "description": "The JSON Schema of the payload; mark fields with `x-sensitive`."},
        "serialize_by": {
            "description": "Requests with the same key run one at a time, in the order of their acceptance.",
            "anyOf": [def("template", "The key, in the scope `customer`."), object(&["key"], json!({
                "scope": def("name", "Processes that name the same scope share their keys."),
                "key": def("template", "The key."),
            }))],
        },
        "limit": object(&["per", "max", "within", "clause", "refuse"], json!({
            "per": def("template", "Whom the limit counts for."),
            "max": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "description": "The most requests in one window."},
            "within": def("length", "The window's length."),
            "clause": def("clause", "The clause that the refusal cites."),
            "refuse": def("name", "The reason of the refusal."),
        })),
        "steps": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"anyOf": [
            def("verify", "Looks, without effects, and concludes a verdict."),
            def("execute", "Changes something, fenced by an intent."),
            def("wait", "Waits for a callback."),
            def("review", "Asks a person."),
            def("together", "Verify steps done side by side."),
        ]}},
        "done_when": def("done_when", "How the outcome is verified."),
        "reasons": {"type": "object", "additionalProperties": def("reason", "Why a request may be refused."), "propertyNames": def("name", "")},
        "reviews": {"type": "object", "additionalProperties": def("review_spec", "What is asked of a person."), "propertyNames": def("name", "")},
    })
}

fn definitions() -> Value {
    let mut all = basics();
    all.extend(calls());
    all.extend(steps());
    all.extend(for_people());
    Value::Object(all)
}

fn basics() -> Map<String, Value> {
    map(json!({
        "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"},
        "length": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["500ms", "30s", "10m", "4h", "7d"]},
        "template": {"type": ["string", "number", "boolean"], "description": "Text in which ${…} holds an expression."},
        "expression": {"type": ["string", "boolean"], "description": "A CEL expression over request, answer, status, answers, meta, now and callbacks."},
        "texts": {"type": "object", "minProperties": 1, "propertyNames": {"pattern": "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"}, "additionalProperties": {"type": "string", "minLength": 1}},
        "clause": object(&["id", "text"], json!({
            "id": {"type": "string", "maxLength": 64, "description": "The rule's identifier, such as CARD-3.1."},
            "text": {"anyOf": [{"type": "string", "minLength": 1}, def("texts", "In each language of `title`.")], "description": "The rule in words; verdicts cite the English text, or the first."},
        })),
        "otherwise": {"anyOf": [
            {"const": "defect"},
            object(&["refuse"], json!({"refuse": def("name", "The request is refused with this reason.")})),
            object(&["review"], json!({"review": def("name", "A person is asked this review.")})),
        ]},
        "refuse_when": {"type": "array", "minItems": 1, "items": def("refuse_rule", "A rule that refuses.")},
        "refuse_rule": object(&["if", "reason"], json!({
            "if": def("expression", "The condition."),
            "reason": def("name", "The name in `reasons`."),
        })),
        "keep": {"type": "object", "propertyNames": def("name", ""), "additionalProperties": def("expression", "What is kept under this name.")},
    }))
}

fn calls() -> Map<String, Value> {
    let path = json!({"type": "string", "pattern": "^/", "description": "The path below the connector's base URL; values in ${…} are percent-encoded."});
    let mut call = object(
        &["connector"],
        json!({
            "connector": def("name", "The connector's name."),
            "get": path, "post": path, "put": path, "patch": path, "delete": path,
            "headers": {"type": "object", "additionalProperties": def("template", "A header's value.")},
            "body": {"description": "The JSON body; texts in it may hold ${…}."},
            "accept": {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "integer", "minimum": 200, "maximum": 599}, "description": "The statuses that reach the rules; 200 to 299 where it is not said."},
            "answer": {"$ref": "https://json-schema.org/draft/2020-12/schema", "description": "What an accepted answer's body must look like."},
            "timeout": def("length", "The whole call's deadline, at most 10m; the connector's where it is not said."),
        }),
    );
    call["oneOf"] = ["get", "post", "put", "patch", "delete"].iter().map(|method| json!({"required": [method]})).collect();
    map(json!({
        "call": call,
        "retry": object(&[], json!({
            "first": def("length", "The first delay; 200ms where it is not said."),
            "factor": {"type": "number", "minimum": 1, "maximum": 10, "default": 2, "description": "How many times longer each next delay is."},
            "max": def("length", "The longest delay; 1m where it is not said."),
            "attempts": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 8, "description": "The most attempts, the first included."},
            "within": def("length", "The most time from the first attempt to the last; 30m where it is not said."),
        })),
        "reconcile": object(&["call", "happened_when"], json!({
            "call": def("call", "The read."),
            "happened_when": def("expression", "True where the effect is there."),
            "settle": def("length", "How long after the call's deadline a \"did not happen\" is believed; 30s where it is not said."),
        })),
        "undo": object(&["call"], json!({
            "call": def("call", "The reversing call."),
            "retry": def("retry", "When it is tried again."),
            "idempotent": idempotent(),
            "reconcile": def("reconcile", "The read that tells whether the undo happened."),
        })),
        "done_when": object(&["is"], json!({
            "call": def("call", "What is read; without a call the expression looks at what the steps kept."),
            "is": def("expression", "True where the outcome is there."),
            "within": def("length", "How long it may take to show; 2m where it is not said."),
            "otherwise": def("otherwise", "What follows when the time is up: a review or a defect."),
        })),
    }))
}

fn steps() -> Map<String, Value> {
    let when = def("expression", "The step is skipped unless this is true.");
    let mut steps = map(json!({
        "verify": object(&["verify", "clause"], json!({
            "verify": def("name", "The step's name."),
            "clause": def("clause", "The clause its verdict cites."),
            "when": when,
            "call": def("call", "What is read; without a call the rules look at the request alone."),
            "refuse_when": def("refuse_when", "Looked at first, in order."),
            "pass_when": def("expression", "Then this; without it everything that is not refused passes."),
            "otherwise": def("otherwise", "Else this; a defect where it is not said."),
            "valid_for": def("length", "The verdict is formed again before an effect when it is older than this."),
            "keep": def("keep", "What of the answer is kept; all of it where it is not said, with sensitive parts masked."),
            "checkpoint": {"type": "boolean", "default": false, "description": "The verdict is written at once: the check costs money."},
            "retry": def("retry", "When it is tried again."),
        })),
        "execute": object(&["execute", "call"], json!({
            "execute": def("name", "The step's name."),
            "clause": def("clause", "The rule that demands the effect; a refusal cites it, so it is needed with `refuse_when`."),
            "when": when,
            "call": def("call", "The call that has the effect."),
            "refuse_when": def("refuse_when", "Answers by which the target says that it did not do it and will not."),
            "keep": def("keep", "What of the answer is kept."),
            "retry": def("retry", "When it is tried again."),
            "idempotent": idempotent(),
            "reconcile": def("reconcile", "The read that tells whether it happened."),
            "undo": def("undo", "How it is reversed."),
        })),
        "wait": object(&["wait", "callback", "within", "otherwise"], json!({
            "wait": def("name", "The step's name."),
            "clause": def("clause", "The clause that a refusal cites; needed with `refuse_when` and where `otherwise` refuses."),
            "when": when,
            "callback": def("name", "The callback's name; its address is `callbacks.<name>.url` from the start of the request."),
            "answer": {"$ref": "https://json-schema.org/draft/2020-12/schema", "description": "What the callback's body must look like; another one is refused."},
            "within": def("length", "How long, from when the step is reached."),
            "refuse_when": def("refuse_when", "Rules over the callback's body, `answer`."),
            "pass_when": def("expression", "True for a body that ends the wait; any body where it is not said."),
            "keep": def("keep", "What of the body is kept."),
            "otherwise": def("otherwise", "What follows when the time is up."),
        })),
        "review": object(&["review"], json!({
            "review": def("name", "The name in `reviews`."),
            "when": when,
        })),
        "together": object(&["together"], json!({
            "together": {"type": "array", "minItems": 2, "items": def("verify", "A verify step.")},
        })),
    }));
    // Every no cites a clause.
    for kind in ["execute", "wait"] {
        steps[kind]["dependentRequired"] = json!({"refuse_when": ["clause"]});
    }
    let refuses = json!({"properties": {"otherwise": {"type": "object", "required": ["refuse"]}}});
    steps["wait"]["if"] = refuses;
    steps["wait"]["then"] = json!({"required": ["clause"]});
    steps
}

fn for_people() -> Map<String, Value> {
    let options: Vec<&str> = CHOICES.iter().map(|choice| choice.as_str()).collect();
    map(json!({
        "reason": object(&["customer"], json!({
            "customer": def("texts", "What the customer reads."),
            "remedy": def("texts", "What the customer can do about it."),
        })),
        "review_spec": object(&["question", "options", "due"], json!({
            "question": def("texts", "The question."),
            "options": {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": options}, "description": "What may be answered."},
            "due": def("length", "How long the reviewer has."),
            "four_eyes": {"type": "boolean", "default": false, "description": "Two different people must agree."},
            "role": def("name", "The reviewers' role that it is for; any reviewer where it is not said."),
        })),
    }))
}

fn idempotent() -> Value {
    json!({"type": "boolean", "default": false, "description": "The target recognises our key: after an unknown result it may be asked again."})
}

fn def(name: &str, description: &str) -> Value {
    let target = format!("#/$defs/{name}");
    if description.is_empty() { json!({"$ref": target}) } else { json!({"$ref": target, "description": description}) }
}

fn object(required: &[&str], properties: Value) -> Value {
    let mut object = Map::new();
    object.insert("type".to_owned(), "object".into());
    object.insert("additionalProperties".to_owned(), false.into());
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    object.insert("properties".to_owned(), properties);
    Value::Object(object)
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::process::{call, parse, rules, steps, texts};

    #[test]
    fn the_schema_has_the_keys_that_the_reader_knows() {
        let schema = json_schema();
        for (pointer, keys) in [
            ("", parse::PROCESS_KEYS),
            ("/properties/serialize_by/anyOf/1", parse::SERIALIZE_KEYS),
            ("/properties/limit", parse::LIMIT_KEYS),
            ("/$defs/call", call::CALL_KEYS),
            ("/$defs/retry", call::RETRY_KEYS),
            ("/$defs/reconcile", call::RECONCILE_KEYS),
            ("/$defs/undo", call::UNDO_KEYS),
            ("/$defs/done_when", call::DONE_KEYS),
            ("/$defs/clause", rules::CLAUSE_KEYS),
            ("/$defs/refuse_rule", rules::REFUSE_KEYS),
            ("/$defs/verify", steps::VERIFY_KEYS),
            ("/$defs/execute", steps::EXECUTE_KEYS),
            ("/$defs/wait", steps::WAIT_KEYS),
            ("/$defs/review", steps::REVIEW_KEYS),
            ("/$defs/together", steps::TOGETHER_KEYS),
            ("/$defs/reason", texts::REASON_KEYS),
            ("/$defs/review_spec", texts::REVIEW_SPEC_KEYS),
        ] {
            let in_schema: BTreeSet<&str> = schema
                .pointer(&format!("{pointer}/properties"))
                .unwrap()
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(in_schema, keys.iter().copied().collect(), "{pointer}");
        }
        let ways: Vec<&str> = rules::OTHERWISE_KEYS.to_vec();
        assert_eq!(ways, ["refuse", "review"]);
    }
}
