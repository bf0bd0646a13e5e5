//! Every answer that a test provokes is held against the OpenAPI description: the status must be described for the
//! operation, and the body must have the form that is promised.

use std::sync::LazyLock;

use mozhao::api::document;
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&document().to_json().unwrap()).unwrap());

/// The operation behind an address; `None` where there is none.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let fits = |template: &str| {
        let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        let same = |(template, part): (&&str, &&str)| template == part || (template.starts_with('{') && !part.is_empty());
        template.len() == path.len() && template.iter().zip(&path).all(same)
    };
    // A written address goes before one with parameters.
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let found = paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item))?;
    found.get(method.to_lowercase())
}

/// Panics where an answer is not as described.
pub(crate) fn check(method: &str, path: &str, status: u16, kind: &str, body: &Value, text: &str) {
    let Some(operation) = operation(method, path) else {
        assert!(status == 404 || status == 405, "{method} {path}: {status} from an operation that is not described");
        return;
    };
    let described = &operation["responses"][status.to_string()];
    assert!(!described.is_null(), "{method} {path}: {status} is not described: {text}");
    let described = match described["$ref"].as_str() {
        Some(target) => DOCUMENT.pointer(&target[1..]).unwrap(),
        None => described,
    };
    let Some(contents) = described["content"].as_object() else {
        assert!(text.is_empty(), "{method} {path}: {status} has a body, and none is described: {text}");
        return;
    };
    let kind = kind.split(';').next().unwrap();
    let content =
        contents.get(kind).unwrap_or_else(|| panic!("{method} {path}: {status} comes as {kind}, described is {contents:?}"));
    if kind.ends_with("json") && !content["schema"].is_null() {
        let schema = json!({"allOf": [content["schema"]], "components": DOCUMENT["components"]});
        let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&schema).unwrap();
        let faults: Vec<String> =
            validator.iter_errors(body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{method} {path}: {status} differs from its description: {faults:?}\n{text}");
    }
}
