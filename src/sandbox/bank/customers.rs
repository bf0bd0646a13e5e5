//! Customers: who they are, what they hold, and the two things about them that a request may change.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        answer::Answer,
        state::{Arrived, Shared, System, parse},
    },
    AccountStatus, Customer, LoanStatus, Records,
};

pub(super) async fn customer(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let core = shared.core();
    match core.bank.customers.get(&id) {
        Some(customer) => Answer::ok(&summary(&core.bank, customer)),
        None => Answer::missing("customer"),
    }
}

/// The customer with everything held; `balance_minor` is the sum over accounts that are not closed, `bound_cards` and
/// `open_loans` are counts.
fn summary(records: &Records, customer: &Customer) -> Value {
    let owned = records.owned.get(&customer.customer_id);
    let cards: Vec<_> = owned.iter().flat_map(|owned| &owned.cards).filter_map(|id| records.cards.get(id)).collect();
    let accounts: Vec<_> = owned.iter().flat_map(|owned| &owned.accounts).filter_map(|id| records.accounts.get(id)).collect();
    let loans: Vec<_> = owned.iter().flat_map(|owned| &owned.loans).filter_map(|id| records.loans.get(id)).collect();
    json!({
        "customer_id": customer.customer_id,
        "name": customer.name,
        "id_number": customer.id_number,
        "phone": customer.phone,
        "status": customer.status,
        "currency": "CNY",
        "balance_minor": accounts
            .iter()
            .filter(|account| account.status != AccountStatus::Closed)
            .map(|account| account.balance_minor)
            .sum::<i64>(),
        "bound_cards": cards.iter().filter(|card| card.status == super::CardStatus::Bound).count(),
        "open_loans": loans.iter().filter(|loan| loan.status == LoanStatus::Open).count(),
        "cards": cards
            .iter()
            .map(|card| json!({"card_id": card.card_id, "status": card.status}))
            .collect::<Vec<_>>(),
        "accounts": accounts
            .iter()
            .map(|account| json!({"account_id": account.account_id, "status": account.status}))
            .collect::<Vec<_>>(),
        "loans": loans,
    })
}

pub(super) async fn loans(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let core = shared.core();
    if !core.bank.customers.contains_key(&id) {
        return Answer::missing("customer");
    }
    let ids = core.bank.owned.get(&id).map(|owned| owned.loans.as_slice()).unwrap_or_default();
    let items: Vec<_> = ids.iter().filter_map(|id| core.bank.loans.get(id)).collect();
    Answer::ok(&json!({"customer_id": id, "items": items}))
}

/// Who has this phone number; an empty list for nobody.
pub(super) async fn phone(State(shared): State<Arc<Shared>>, Path(phone): Path<String>) -> Answer {
    let core = shared.core();
    let owners = core.bank.phones.get(&phone).map(Vec::as_slice).unwrap_or_default();
    Answer::ok(&json!({"customer_ids": owners}))
}

#[derive(Deserialize)]
struct NewPhone {
    phone: String,
}

pub(super) async fn change_phone(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Arrived>,
    body: Bytes,
) -> Answer {
    let new: NewPhone = match parse(&body) {
        Ok(new) => new,
        Err(answer) => return answer,
    };
    shared.effect(System::Bank, &call, "phone", &id, |core| {
        if core.bank.set_phone(&id, &new.phone) {
            Answer::applied(&json!({"customer_id": id, "phone": new.phone}))
        } else {
            Answer::missing("customer")
        }
    })
}

#[derive(Deserialize)]
struct NewName {
    name: String,
}

pub(super) async fn change_name(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Arrived>,
    body: Bytes,
) -> Answer {
    let new: NewName = match parse(&body) {
        Ok(new) => new,
        Err(answer) => return answer,
    };
    shared.effect(System::Bank, &call, "customer_name", &id, |core| match core.bank.customers.get_mut(&id) {
        Some(customer) => {
            customer.name.clone_from(&new.name);
            Answer::applied(&json!({"customer_id": id, "name": new.name}))
        }
        None => Answer::missing("customer"),
    })
}
