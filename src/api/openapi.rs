//! The description of the interface, OpenAPI 3.1: gathered from the handlers, completed here, checked in at
//! `deploy/openapi.json`.
//!
//! It is more than a document: the query parameters that an operation accepts are read from it, so that the two cannot
//! differ. The problems that every operation may answer with are added to all of them in one place.

use std::collections::HashMap;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::{
    acts, balance, batches, callbacks, clauses, decisions, defects, dependencies, events, health, history, kinds, metrics,
    presence, processes, qualifiers, rejected, request_acts, request_events, requests, review_acts, reviews, setting_aside,
    timeline, tokens, views,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mozhao",
        description = "Self-service request automation. Requests are sent with an Idempotency-Key, verified and carried out by the rules of a process, and only exceptions are put to people.\n\nErrors are `application/problem+json`; their `type` leads to a text that says how to mend them. Lists are read page by page: pass `next` of one page as `cursor` of the following one. Times are RFC 3339 in UTC. Sensitive values are masked.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "requests", description = "Send requests and follow them"),
        (name = "callbacks", description = "What other systems send"),
        (name = "reviews", description = "Questions put to people"),
        (name = "views", description = "Searches and filters with a name, for everybody"),
        (name = "processes", description = "How requests are handled"),
        (name = "operations", description = "Defects, dependencies, workers, the balance"),
        (name = "tokens", description = "Who may do what"),
        (name = "meta", description = "Health, metrics, this description"),
    ),
    components(schemas(super::problem::ProblemBody)),
    modifiers(&Complete),
    security(("token" = []))
)]
struct Document;

struct Complete;

impl Modify for Complete {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of the form `mz_…`")).build();
        components.security_schemes.insert("token".to_owned(), RefOr::T(SecurityScheme::Http(scheme)));
        for (name, text) in PROBLEMS.iter().flat_map(|(_, name, text)| [(name, text)]) {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build();
            let response = ResponseBuilder::new().description(*text).content("application/problem+json", content).build();
            components.responses.insert((*name).to_owned(), RefOr::T(response));
        }
    }
}

/// Status, name and description of the problems that several operations share.
const PROBLEMS: [(u16, &str, &str); 10] = [
    (400, "BadRequest", "The path, the query or the JSON is not understood"),
    (401, "NoToken", "No valid token"),
    (403, "Forbidden", "The token's roles do not allow this"),
    (404, "NotFound", "It does not exist, or the token may not see it"),
    (408, "SlowBody", "The body did not come in time"),
    (413, "TooLarge", "The body is too large"),
    (415, "MediaType", "The body is not marked as JSON"),
    (422, "Unprocessable", "The body has another form, or what it asks for cannot be done"),
    (500, "Internal", "Something went wrong on our side"),
    (503, "Unavailable", "Not available at the moment; Retry-After says when to try again"),
];

/// All operations with their descriptions.
pub(super) fn documented() -> OpenApiRouter<Api> {
    let mut router = OpenApiRouter::with_openapi(Document::openapi())
        .merge(requests::routes())
        .merge(qualifiers::routes())
        .merge(request_acts::routes())
        .merge(timeline::routes())
        .merge(request_events::routes())
        .merge(callbacks::routes())
        .merge(reviews::routes())
        .merge(review_acts::routes())
        .merge(setting_aside::routes())
        .merge(presence::routes())
        .merge(views::routes())
        .merge(acts::routes())
        .merge(batches::routes())
        .merge(decisions::routes())
        .merge(processes::routes())
        .merge(clauses::routes())
        .merge(defects::routes())
        .merge(dependencies::routes())
        .merge(balance::routes())
        .merge(history::routes())
        .merge(rejected::routes())
        .merge(events::routes())
        .merge(tokens::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(kinds::routes())
        .routes(routes!(show));
    add_problems(router.get_openapi_mut());
    router
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", operation_id = "show_openapi", tag = "meta", security(()), responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn show() -> Response {
    static TEXT: std::sync::LazyLock<bytes::Bytes> = std::sync::LazyLock::new(|| document().to_json().unwrap_or_default().into());
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], TEXT.clone()).into_response()
}

fn operations(item: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
    ];
    all.into_iter().filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
}

fn add_problems(document: &mut utoipa::openapi::OpenApi) {
    let open = Some(vec![SecurityRequirement::default()]);
    for (path, item) in &mut document.paths.paths {
        for (_, operation) in operations(item) {
            let (is_open, has_body) = (operation.security == open, operation.request_body.is_some());
            // In the path or in the query, it names something that may not be there.
            let to_find =
                |one: &RefOr<Parameter>| matches!(one, RefOr::T(one) if ["request", "same_customer_as"].contains(&&*one.name));
            let names = path.contains('{') || operation.parameters.iter().flatten().any(to_find);
            let applies = |status: u16| match status {
                401 | 403 => !is_open,
                404 => names,
                408 | 413 | 415 | 422 => has_body,
                503 => !is_open || has_body,
                _ => true,
            };
            // A description is mandatory; where the handler says nothing, the status does.
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    reason_phrase(status).clone_into(&mut response.description);
                }
            }
            for (status, name, _) in PROBLEMS.iter().filter(|(status, ..)| applies(*status)) {
                operation
                    .responses
                    .responses
                    .entry(status.to_string())
                    .or_insert_with(|| RefOr::Ref(Ref::from_response_name(*name)));
            }
        }
    }
}

fn reason_phrase(status: &str) -> &'static str {
    let status = status.parse::<StatusCode>().ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

/// The query parameters of each operation, by method and route.
pub(super) fn query_names(document: &utoipa::openapi::OpenApi) -> HashMap<(Method, String), Vec<String>> {
    let mut names = HashMap::new();
    for (path, item) in &mut document.paths.paths.clone() {
        for (method, operation) in operations(item) {
            let query = parameters(operation).filter(|parameter| parameter.parameter_in == ParameterIn::Query);
            names.insert((method, path.clone()), query.map(|parameter| parameter.name.clone()).collect());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn text() -> String {
        let mut text = document().to_pretty_json().unwrap();
        text.push('\n');
        text
    }

    /// `MOZHAO_UPDATE=1 cargo test --lib api::openapi` writes it anew.
    #[test]
    fn the_checked_in_description_is_current() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/openapi.json");
        if std::env::var_os("MOZHAO_UPDATE").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy")).unwrap();
            std::fs::write(file, text()).unwrap();
        }
        let stored = std::fs::read_to_string(file).unwrap_or_default();
        assert!(stored == text(), "deploy/openapi.json is not current: run `MOZHAO_UPDATE=1 cargo test --lib api::openapi`");
    }

    #[test]
    fn every_operation_is_described() {
        let mut document = document();
        assert!(document.openapi == utoipa::openapi::OpenApiVersion::Version31);
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let name = format!("{method} {path}");
                assert!(operation.summary.as_ref().or(operation.description.as_ref()).is_some(), "{name} has no text");
                assert!(operation.tags.as_ref().is_some_and(|tags| tags.len() == 1), "{name} has no tag");
                let id = operation.operation_id.clone().unwrap();
                let said = id.split('_').count() >= 2 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                assert!(said, "{name}: `{id}` does not say what is done to what (`claim_review`)");
                assert!(ids.insert(id), "{name}: its id is used twice");
                let responses = &operation.responses.responses;
                assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
                assert!(responses.contains_key("500"), "{name}");
                let in_path = path.matches('{').count();
                let described = parameters(operation).filter(|one| one.parameter_in == ParameterIn::Path).count();
                assert_eq!(in_path, described, "{name}: parameters in the path");
            }
        }
        assert!(ids.len() > 35, "{}", ids.len());
    }

    fn walk(value: &serde_json::Value, root: &serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(target) = map.get("$ref").and_then(|target| target.as_str()) {
                    assert!(root.pointer(&target[1..]).is_some(), "{target}");
                }
                map.values().for_each(|inner| walk(inner, root));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|inner| walk(inner, root)),
            _ => {}
        }
    }

    #[test]
    fn references_lead_somewhere() {
        let document: serde_json::Value = serde_json::from_str(&text()).unwrap();
        walk(&document, &document);
    }
}
