//! A small core banking system under `/bank`: customers, cards, accounts, loans. It recognises idempotency keys.
//!
//! Effects are deliberately dumb about repetition: unbinding an unbound card applies (and counts) again, as many old
//! systems book again. A bank that quietly ignored the second call would hide the very mistake that tests look for.

mod accounts;
mod customers;
mod records;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Path, State},
    routing::{get, post, put},
};
use serde_json::json;

use super::{
    answer::Answer,
    state::{Arrived, Shared, System},
};
pub use records::{
    Account, AccountStatus, Card, CardStatus, Customer, CustomerStatus, Loan, LoanStatus, Pending, Records, Statements,
};

/// The routes, without the `/bank` prefix.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", get(async || Answer::ok(&json!({"status": "up"}))))
        .route("/cards/{id}", get(card))
        .route("/cards/{id}/pending", get(pending))
        .route("/cards/{id}/unbind", post(unbind))
        .route("/cards/{id}/bind", post(bind))
        .route("/customers/{id}", get(customers::customer))
        .route("/customers/{id}/loans", get(customers::loans))
        .route("/customers/{id}/phone", put(customers::change_phone))
        .route("/customers/{id}/name", put(customers::change_name))
        .route("/phones/{phone}", get(customers::phone))
        .route("/accounts/{id}", get(accounts::account))
        .route("/accounts/{id}/freeze", post(accounts::freeze))
        .route("/accounts/{id}/unfreeze", post(accounts::unfreeze))
        .route("/accounts/{id}/statements/stop", post(accounts::stop_statements))
        .route("/accounts/{id}/statements/resume", post(accounts::resume_statements))
        .route("/accounts/{id}/payout", post(accounts::pay_out))
        .route("/accounts/{id}/payout/reverse", post(accounts::reverse_payout))
        .route("/accounts/{id}/close", post(accounts::close))
        .route("/accounts/{id}/reopen", post(accounts::reopen))
}

async fn card(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    match shared.core().bank.cards.get(&id) {
        Some(card) => Answer::ok(&card.summary()),
        None => Answer::missing("card"),
    }
}

async fn pending(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    match shared.core().bank.cards.get(&id) {
        Some(card) => Answer::ok(&json!({"card_id": card.card_id, "items": card.pending})),
        None => Answer::missing("card"),
    }
}

async fn unbind(State(shared): State<Arc<Shared>>, Path(id): Path<String>, Extension(call): Extension<Arrived>) -> Answer {
    shared.effect(System::Bank, &call, "unbind", &id, |core| {
        let Some(card) = core.bank.cards.get_mut(&id) else {
            return Answer::missing("card");
        };
        if !card.pending.is_empty() {
            return Answer::conflict("money_in_flight");
        }
        card.status = CardStatus::Unbound;
        Answer::applied(&card.summary())
    })
}

async fn bind(State(shared): State<Arc<Shared>>, Path(id): Path<String>, Extension(call): Extension<Arrived>) -> Answer {
    shared.effect(System::Bank, &call, "bind", &id, |core| {
        let Some(card) = core.bank.cards.get_mut(&id) else {
            return Answer::missing("card");
        };
        card.status = CardStatus::Bound;
        Answer::applied(&card.summary())
    })
}
