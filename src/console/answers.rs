//! What can be answered to a question, and what each answer needs: a reason with the text that the customer will read, new
//! values of fields.

use serde_json::Value;

use super::draft::Draft;
use super::read::{Choice, Process, Reason, ReviewPage};
use super::session::Seat;
use super::show::by_language;

/// An answer.
pub(super) struct Answer {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) checked: bool,
    pub(super) then: String,
    pub(super) steps: Vec<String>,
}

/// A reason of a refusal.
pub(super) struct Letter {
    pub(super) name: String,
    /// What the customer reads, in the reviewer's language: what a reason is chosen by.
    pub(super) label: String,
    /// Language, text and remedy.
    pub(super) texts: Vec<(String, String, String)>,
    pub(super) selected: bool,
}

/// A field that can be amended.
pub(super) struct Changed {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) value: String,
}

/// What may be answered.
pub(super) fn answers(data: &ReviewPage, draft: &Draft, seat: &Seat) -> Vec<Answer> {
    let t = seat.look.lang.texts();
    let answer = |choice: &Choice| Answer {
        label: t.choice(&choice.choice).to_owned(),
        checked: draft.choice == choice.choice,
        then: by_language(&choice.then, &seat.look),
        steps: choice.next_steps.clone(),
        value: choice.choice.clone(),
    };
    data.options.iter().map(answer).collect()
}

/// What the customer reads for each reason, in every language of the process: those that the asking step itself refuses with,
/// and the process's others.
pub(super) fn letters(data: &ReviewPage, chosen: &str, seat: &Seat) -> [Vec<Letter>; 2] {
    let letter = |reason: &Reason| {
        let remedy = |lang: &String| reason.remedy.as_ref().and_then(|texts| texts.get(lang)).cloned().unwrap_or_default();
        let texts = reason.customer.iter().map(|(lang, text)| (lang.clone(), text.clone(), remedy(lang))).collect();
        let label = by_language(&reason.customer, &seat.look);
        let label = if label.is_empty() { reason.name.clone() } else { label };
        Letter { label, texts, selected: chosen == reason.name, name: reason.name.clone() }
    };
    let own: Vec<&str> = data.rules.iter().flat_map(|rules| &rules.refuse_when).map(|rule| rule.reason.as_str()).collect();
    let (own, others): (Vec<&Reason>, Vec<&Reason>) = data.reasons.iter().partition(|reason| own.contains(&reason.name.as_str()));
    [own.into_iter().map(letter).collect(), others.into_iter().map(letter).collect()]
}

/// The fields that can be amended on a page: the payload's own texts, numbers and truth values, without those that were settled
/// when the request was accepted.
pub(super) fn changes(process: Option<&Process>, fixed: &[String], draft: &Draft) -> Vec<Changed> {
    let Some(properties) = process.and_then(|process| process.schema.get("properties")).and_then(Value::as_object) else {
        return Vec::new();
    };
    let simple = |schema: &Value| match schema.get("type").and_then(Value::as_str) {
        Some("string") => Some("string"),
        Some("integer" | "number") => Some("number"),
        Some("boolean") => Some("boolean"),
        _ => None,
    };
    let changed = |(name, schema): (&String, &Value)| {
        let value = draft.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default();
        simple(schema).map(|kind| Changed { name: name.clone(), kind, value })
    };
    properties.iter().filter(|(name, _)| !fixed.contains(name)).filter_map(changed).collect()
}
