//! Two registries of employees that should agree and do not always: the personnel system (`/hr`), which recognises
//! keys, and an old directory (`/legacy`), which has other field names, ignores keys and applies whatever it is sent.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, State},
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    answer::Answer,
    state::{Arrived, Shared, System, parse},
};

/// Whether somebody still works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonStatus {
    /// Employed.
    Active,
    /// Has left.
    Left,
}

/// The identity document on file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// `id_card`, `passport`, `marriage_certificate`, …
    pub kind: String,
    /// The name that it shows.
    pub name: String,
    /// Somebody has checked it.
    pub verified: bool,
}

/// An employee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Staff number.
    pub person_id: String,
    /// Name in its own script.
    pub name: String,
    /// Where the person works.
    pub department: String,
    /// Whether the person still works here.
    pub status: PersonStatus,
    /// Up to what amount the person may sign for the company, in minor units.
    pub signing_limit_minor: i64,
    /// The newest document on file.
    pub document: Option<Document>,
}

/// The people in one system.
#[derive(Debug, Default)]
pub struct Registry {
    people: HashMap<String, Person>,
}

impl Registry {
    /// Adds or replaces a person.
    pub fn put(&mut self, person: Person) {
        self.people.insert(person.person_id.clone(), person);
    }

    /// A person by staff number.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.get(id)
    }
}

/// `/hr`.
pub(super) fn hr_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", get(async || Answer::ok(&json!({"status": "up"}))))
        .route("/people/{id}", get(hr_person))
        .route("/people/{id}/document", get(hr_document))
        .route("/people/{id}/name", put(hr_rename))
}

/// `/legacy`.
pub(super) fn legacy_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", get(async || Answer::ok(&json!({"status": "up"}))))
        .route("/people/{id}", get(legacy_person))
        .route("/people/{id}/rename", post(legacy_rename))
}

async fn hr_person(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    match shared.core().hr.person(&id) {
        Some(person) => Answer::ok(&json!({
            "person_id": person.person_id, "name": person.name, "department": person.department,
            "status": person.status, "signing_limit_minor": person.signing_limit_minor,
        })),
        None => Answer::missing("person"),
    }
}

async fn hr_document(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    match shared.core().hr.person(&id).and_then(|person| person.document.as_ref()) {
        Some(document) => Answer::ok(&json!(document)),
        None => Answer::missing("document"),
    }
}

#[derive(Deserialize)]
struct NewName {
    name: String,
}

async fn hr_rename(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Arrived>,
    body: Bytes,
) -> Answer {
    let new: NewName = match parse(&body) {
        Ok(new) => new,
        Err(answer) => return answer,
    };
    shared.effect(System::Hr, &call, "hr_name", &id, |core| match core.hr.people.get_mut(&id) {
        Some(person) => {
            person.name.clone_from(&new.name);
            Answer::applied(&json!({"person_id": id, "name": new.name}))
        }
        None => Answer::missing("person"),
    })
}

async fn legacy_person(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    match shared.core().legacy.person(&id) {
        Some(person) => Answer::ok(&json!({
            "staff_no": person.person_id,
            "full_name": person.name,
            "active": if person.status == PersonStatus::Active { "Y" } else { "N" },
        })),
        None => Answer::missing("person"),
    }
}

#[derive(Deserialize)]
struct FullName {
    full_name: String,
}

async fn legacy_rename(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Arrived>,
    body: Bytes,
) -> Answer {
    let new: FullName = match parse(&body) {
        Ok(new) => new,
        Err(answer) => return answer,
    };
    shared.effect(System::Legacy, &call, "legacy_name", &id, |core| match core.legacy.people.get_mut(&id) {
        Some(person) => {
            person.name.clone_from(&new.full_name);
            Answer::applied(&json!({"staff_no": id, "full_name": new.full_name}))
        }
        None => Answer::missing("person"),
    })
}
