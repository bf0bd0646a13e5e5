//! One plan per road: who and what must exist for a request to end there. The tables are the shares of the stream; most
//! requests are simply in order, as in life.

use serde_json::{Value, json};

use super::{
    bank::{AccountStatus, CardStatus, Customer, CustomerStatus, Loan, LoanStatus, Pending},
    names,
    people::{Document, Person, PersonStatus},
    sms::Reply,
    world::{Making, Planned, Road},
};

/// What a process makes of a road: the payload.
type Plan = fn(&mut Making, Road) -> Value;

/// Share of the stream, process, plan, and the process's roads with their share of it.
type Row = (u64, &'static str, Plan, &'static [(u64, Road)]);

const STREAM: &[Row] = &[
    (45, "card_unbind", card_unbind, CARD_UNBIND),
    (25, "phone_change", phone_change, PHONE_CHANGE),
    (18, "account_close", account_close, ACCOUNT_CLOSE),
    (12, "name_correction", name_correction, NAME_CORRECTION),
];

const CARD_UNBIND: &[(u64, Road)] = &[
    (70, Road::Done),
    (6, Road::Review("face_uncertain")),
    (4, Road::Refused("money_in_flight")),
    (3, Road::Refused("face_mismatch")),
    (3, Road::Refused("last_card")),
    (3, Road::Refused("unsettled_loan")),
    (2, Road::Refused("not_your_card")),
    (2, Road::Refused("already_unbound")),
    (2, Road::Refused("no_such_card")),
    (2, Road::Refused("id_number_mismatch")),
    (1, Road::Refused("invalid_id_number")),
    (1, Road::Review("customer_blocked")),
    (1, Road::Parked),
];

const PHONE_CHANGE: &[(u64, Road)] = &[
    (75, Road::Done),
    (6, Road::Refused("wrong_code")),
    (5, Road::Waiting),
    (5, Road::Refused("old_phone_mismatch")),
    (4, Road::Refused("phone_taken")),
    (3, Road::Refused("same_phone")),
    (2, Road::Review("customer_blocked")),
];

const ACCOUNT_CLOSE: &[(u64, Road)] = &[
    (70, Road::Done),
    (8, Road::Review("large_balance")),
    (5, Road::Refused("open_loans")),
    (5, Road::Refused("cards_still_bound")),
    (4, Road::Refused("account_overdrawn")),
    (3, Road::Refused("movements_in_flight")),
    (3, Road::Refused("not_your_account")),
    (2, Road::Refused("already_closed")),
];

const NAME_CORRECTION: &[(u64, Road)] = &[
    (70, Road::Done),
    (10, Road::Review("high_signing_limit")),
    (8, Road::Review("systems_disagree")),
    (4, Road::Refused("name_unchanged")),
    (3, Road::Refused("no_such_person")),
    (3, Road::Refused("person_left")),
    (2, Road::Refused("document_not_verified")),
];

/// Above this balance a person is asked before an account is closed (as in `account_close.yaml`), in minor units.
const LARGE_BALANCE_MINOR: u32 = 5_000_000;
/// Above this signing limit two people approve a name (as in `name_correction.yaml`), in minor units.
const HIGH_LIMIT_MINOR: i64 = 100_000_000;

/// The next request, with everything it is about added to the world.
pub(super) fn plan(making: &mut Making) -> Planned {
    let dice = making.random.below(STREAM.iter().map(|row| row.0).sum());
    let (_, process, plan, roads) = STREAM[weighted(STREAM.iter().map(|row| row.0), dice)];
    let dice = making.random.below(roads.iter().map(|row| row.0).sum());
    let road = roads[weighted(roads.iter().map(|row| row.0), dice)].1;
    Planned { process, payload: plan(making, road), road }
}

/// The place whose share of the weights the dice fell into; the dice must be below their sum.
fn weighted(weights: impl Iterator<Item = u64>, mut dice: u64) -> usize {
    let mut last = 0;
    for (place, weight) in weights.enumerate() {
        last = place;
        if dice < weight {
            break;
        }
        dice -= weight;
    }
    last
}

#[cfg(test)]
pub(super) fn all_roads() -> Vec<String> {
    let roads = STREAM.iter().flat_map(|row| row.3.iter().map(|(_, road)| format!("{} {road}", row.1)));
    let mut roads: Vec<_> = roads.collect();
    roads.sort();
    roads
}

fn card_unbind(making: &mut Making, road: Road) -> Value {
    let mut customer = making.customer();
    let balance = making.amount(900_000);
    let account = making.account(&customer, balance.max(1));
    let mut card = making.card(&customer, if road == Road::Parked { "NB" } else { "C" });
    let mut other_card = Some(making.card(&customer, "D"));
    let mut id_number = customer.id_number.clone();
    let mut selfie = format!("selfie:0.9{}", 3 + making.random.below(7));
    let mut card_id = card.card_id.clone();
    match road {
        Road::Review("face_uncertain") => "selfie:grey".clone_into(&mut selfie),
        Road::Review("customer_blocked") => customer.status = CustomerStatus::Frozen,
        Road::Refused("face_mismatch") => "selfie:other".clone_into(&mut selfie),
        Road::Refused("money_in_flight") => card.pending.push(Pending {
            payment_id: format!("P{:07}", making.number),
            amount_minor: 1 + making.amount(50_000),
            kind: "payment".into(),
        }),
        Road::Refused("last_card") => other_card = None,
        Road::Refused("unsettled_loan") => add_loan(making, &customer),
        Road::Refused("not_your_card") => card.customer_id = "U0000000".into(),
        Road::Refused("already_unbound") => card.status = CardStatus::Unbound,
        Road::Refused("no_such_card") => card_id = format!("X{:07}", making.number),
        Road::Refused("id_number_mismatch") => id_number = another_id_number(making, &id_number),
        Road::Refused("invalid_id_number") => id_number = names::invalid_id_number(&id_number),
        _ => {}
    }
    let payload = json!({
        "customer_id": customer.customer_id, "card_id": card_id, "id_number": id_number, "selfie": selfie,
    });
    making.world.cards.push(card);
    making.world.cards.extend(other_card);
    making.world.accounts.push(account);
    making.world.customers.push(customer);
    payload
}

fn another_id_number(making: &mut Making, than: &str) -> String {
    loop {
        let other = names::id_number(&mut making.random);
        if other != than {
            return other;
        }
    }
}

fn add_loan(making: &mut Making, customer: &Customer) {
    let outstanding_minor = 1 + making.amount(9_000_000);
    making.world.loans.push(Loan {
        loan_id: format!("L{:07}", making.number),
        customer_id: customer.customer_id.clone(),
        outstanding_minor,
        status: LoanStatus::Open,
    });
}

fn phone_change(making: &mut Making, road: Road) -> Value {
    let mut customer = making.customer();
    let mut old_phone = customer.phone.clone();
    let mut new_phone = format!("+8618{:09}", making.number);
    match road {
        Road::Refused("wrong_code") => making.world.habits.push((new_phone.clone(), vec![Reply::wrong(50)])),
        Road::Waiting => making.world.habits.push((new_phone.clone(), Vec::new())),
        Road::Refused("old_phone_mismatch") => old_phone = format!("+8615{:09}", making.number),
        Road::Refused("phone_taken") => {
            // Somebody else has the number already.
            let mut other = making.customer();
            other.customer_id = format!("V{:07}", making.number);
            other.phone.clone_from(&new_phone);
            making.world.customers.push(other);
        }
        Road::Refused("same_phone") => new_phone.clone_from(&old_phone),
        Road::Review("customer_blocked") => customer.status = CustomerStatus::Frozen,
        _ => {
            // People take their time, and some apps report a code twice.
            let after_ms = 20 + making.random.below(400);
            let mut replies = vec![Reply::right(after_ms)];
            if making.random.chance(0.1) {
                replies.push(Reply::right(10));
            }
            making.world.habits.push((new_phone.clone(), replies));
        }
    }
    let payload = json!({
        "customer_id": customer.customer_id, "old_phone": old_phone, "new_phone": new_phone,
    });
    making.world.customers.push(customer);
    payload
}

fn account_close(making: &mut Making, road: Road) -> Value {
    let customer = making.customer();
    let balance_minor = match road {
        Road::Review("large_balance") => i64::from(LARGE_BALANCE_MINOR) + 1 + making.amount(90_000_000),
        Road::Refused("account_overdrawn") => -1 - making.amount(100_000),
        // A third of those who leave have taken their money out before.
        _ if making.random.chance(0.33) => 0,
        _ => making.amount(LARGE_BALANCE_MINOR),
    };
    let mut account = making.account(&customer, balance_minor);
    let mut card = making.card(&customer, "C");
    card.status = CardStatus::Unbound;
    match road {
        Road::Refused("open_loans") => add_loan(making, &customer),
        Road::Refused("cards_still_bound") => card.status = CardStatus::Bound,
        Road::Refused("movements_in_flight") => account.in_flight = 2,
        Road::Refused("not_your_account") => account.customer_id = "U0000000".into(),
        Road::Refused("already_closed") => {
            account.status = AccountStatus::Closed;
            account.balance_minor = 0;
        }
        _ => {}
    }
    let payload = json!({"customer_id": customer.customer_id, "account_id": account.account_id});
    making.world.cards.push(card);
    making.world.accounts.push(account);
    making.world.customers.push(customer);
    payload
}

fn name_correction(making: &mut Making, road: Road) -> Value {
    const DEPARTMENTS: &[&str] = &["Support", "Payments", "合规部", "信贷部", "Lending"];
    let mut person_id = format!("E{:07}", making.number);
    let right = names::name(&mut making.random);
    // What one sees in practice: a blank too many.
    let wrong = format!("{right} ");
    let signing_limit_minor = match road {
        Road::Review("high_signing_limit") => HIGH_LIMIT_MINOR * 5,
        _ => [0, 1_000_000, 20_000_000][weighted([60, 30, 10].into_iter(), making.random.below(100))],
    };
    let mut person = Person {
        person_id: person_id.clone(),
        name: wrong.clone(),
        department: making.random.pick(DEPARTMENTS).copied().unwrap_or("Support").to_owned(),
        status: PersonStatus::Active,
        signing_limit_minor,
        document: Some(Document { kind: "id_card".into(), name: right.clone(), verified: true }),
    };
    let mut legacy = person.clone();
    let mut new_name = right;
    match road {
        Road::Review("systems_disagree") => legacy.name = format!("{wrong}?"),
        Road::Refused("name_unchanged") => new_name = wrong,
        Road::Refused("no_such_person") => person_id = format!("X{:07}", making.number),
        Road::Refused("person_left") => person.status = PersonStatus::Left,
        Road::Refused("document_not_verified") => {
            if let Some(document) = &mut person.document {
                document.verified = false;
            }
        }
        _ => {}
    }
    making.world.hr.push(person);
    making.world.legacy.push(legacy);
    json!({"person_id": person_id, "new_name": new_name, "ground": "typing_error"})
}
