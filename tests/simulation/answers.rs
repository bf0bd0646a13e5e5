//! What the remote systems say, process by process and slot by slot: yes, no, something in between, or nonsense.

use serde_json::{Value, json};

use crate::dice::Dice;

/// What a message asks for, as the remote systems know it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) process: &'static str,
    pub(crate) customer: String,
    pub(crate) payload: Value,
}

/// How the remote systems feel about a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Yes,
    No,
    Unsure,
    /// Not what the contract says.
    Nonsense,
}

pub(crate) const NAME: &str = "阿卜杜拉·买买提";

/// The answer of a read; `there` says whether a step's effect stands.
pub(crate) fn read(asked: &Asked, slot: &str, mood: Mood, there: impl Fn(&str) -> bool, dice: &Dice) -> Value {
    if mood == Mood::Nonsense {
        let nonsense =
            [json!({}), json!([]), json!({"ok": "yes", "score": "NaN", "status": 7, "valid": 1}), json!(null), json!("ok")];
        return dice.pick(&nonsense).clone();
    }
    let payload = &asked.payload;
    let (no, unsure) = (mood == Mood::No, mood == Mood::Unsure);
    let target = slot.rsplit('.').next().unwrap_or(slot);
    let check = !slot.contains('.') && slot != "done_when";
    match asked.process {
        "transfer" => match slot {
            "funds" => json!({ "ok": !no }),
            "risk" => json!({ "score": if no { 0.1 } else if unsure { 0.5 } else { 0.9 } }),
            "done_when" => json!({ "there": there("tell") }),
            _ => json!({ "there": there(target) }),
        },
        "letter" => match slot {
            "address" => json!({ "valid": !no }),
            "stamp" => json!({ "ok": !no }),
            _ => json!({ "there": there(target) }),
        },
        "card_unbind" => match slot {
            "card" | "done_when" | "reconcile.unbind" | "reconcile.undo.unbind" => {
                let status = match (there("unbind"), unsure && check) {
                    (true, _) => "unbound",
                    (false, true) => "ordered",
                    (false, false) => "bound",
                };
                json!({ "customer_id": asked.customer, "status": status })
            }
            "holder" => {
                json!({ "id_number": payload["id_number"], "name": NAME, "status": if unsure { "blocked" } else { "active" } })
            }
            "money_in_flight" => json!({ "items": if no { json!([1]) } else { json!([]) } }),
            "last_card" => json!({ "bound_cards": if no { 1 } else { 2 }, "balance_minor": 5 }),
            "loans" => json!({ "items": if no { json!([{ "status": "late" }]) } else { json!([]) } }),
            _ => json!({ "score": if no { 0.3 } else if unsure { 0.7 } else { 0.97 } }),
        },
        "phone_change" => match slot {
            "old_phone" => {
                json!({ "phone": payload["old_phone"], "name": NAME, "status": if unsure { "blocked" } else { "active" } })
            }
            "new_phone" => json!({ "customer_ids": if no { json!(["C9"]) } else { json!([]) } }),
            "code" => json!({ "valid": !no }),
            "reconcile.send_code" | "reconcile.undo.send_code" => json!({ "active": there("send_code") }),
            _ => json!({ "phone": if there("change") { &payload["new_phone"] } else { &payload["old_phone"] } }),
        },
        "account_close" => match slot {
            "loans" => json!({ "items": if no { json!([{ "status": "late" }]) } else { json!([]) } }),
            "cards" => json!({ "bound_cards": i32::from(no), "name": NAME }),
            _ => {
                let status = match (there("close"), there("freeze")) {
                    (true, _) => "closed",
                    (false, true) => "frozen",
                    (false, false) if unsure && check => "blocked",
                    (false, false) => "open",
                };
                let paid = there("pay_out");
                json!({ "customer_id": asked.customer, "status": status, "in_flight": i32::from(no && slot == "movements"),
                        "balance_minor": if paid { 0 } else { 9_000_000 },
                        "statements": if there("stop_statements") { "stopped" } else { "on" } })
            }
        },
        _ => {
            let name = |step: &str| if there(step) { payload["new_name"].clone() } else { json!("李雷") };
            match slot {
                "hr_record" | "reconcile.hr_name" | "reconcile.undo.hr_name" => {
                    json!({ "name": name("hr_name"), "status": "active", "signing_limit_minor": if unsure { 900_000_000 } else { 0 } })
                }
                "document" => json!({ "kind": "passport", "name": payload["new_name"], "verified": !no }),
                _ => json!({ "full_name": name("directory_name") }),
            }
        }
    }
}

/// The answer to an effect that took place.
pub(crate) fn effect(slot: &str) -> Value {
    if slot == "send_code" { json!({ "message_id": "m1" }) } else { json!({}) }
}

/// A status with which the target declines an effect, where the process knows one.
pub(crate) fn declines(process: &str, slot: &str) -> Option<u16> {
    match (process, slot) {
        ("card_unbind", "unbind") | ("account_close", "close") => Some(409),
        ("name_correction", "directory_name") => Some(404),
        _ => None,
    }
}

/// The callback that a wait step waits for, with a body that it takes.
pub(crate) fn callback(process: &str) -> Option<(&'static str, Value)> {
    match process {
        "letter" => Some(("printer", json!({ "code": "P1" }))),
        "phone_change" => Some(("sms", json!({ "code": "123456" }))),
        _ => None,
    }
}

/// A request for a process by a customer; `wild` dice decide the rest.
pub(crate) fn payload(process: &str, customer: &str, n: u64, dice: &Dice) -> Value {
    match process {
        "transfer" | "letter" => {
            json!({ "customer": customer, "amount": dice.below(1_100), "secret": format!("CANARY-{n}") })
        }
        "card_unbind" => json!({ "customer_id": customer, "card_id": format!("K{n}"), "id_number": "11010519491231002X",
            "selfie": format!("https://pictures.example/CANARY-{n}.jpg") }),
        "phone_change" => json!({ "customer_id": customer, "old_phone": "+8613800000001", "new_phone": format!("+86139{n:08}") }),
        "account_close" => json!({ "customer_id": customer, "account_id": format!("A{n}") }),
        _ => json!({ "person_id": customer, "new_name": format!("CANARY-{n}"), "ground": "marriage" }),
    }
}

/// Is this the answer of a target that declines an effect?
pub(crate) fn declines_with(slot: &str, status: u16) -> bool {
    matches!((slot, status), ("unbind" | "close", 409) | ("directory_name", 404))
}
