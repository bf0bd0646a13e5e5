//! `reasons` and `reviews`: what the customer reads, and what a person is asked.

use std::collections::BTreeMap;

use super::model::{Choice, Reason, ReviewSpec};
use super::read::Reader;
use super::spelling::{did_you_mean, quoted};
use super::yaml::{Node, Value};

/// The keys of a reason.
pub(super) const REASON_KEYS: &[&str] = &["customer", "remedy"];
/// The keys of a review.
pub(super) const REVIEW_SPEC_KEYS: &[&str] = &["question", "options", "due", "four_eyes", "role"];
/// All answers that a review may offer.
pub(super) const CHOICES: [Choice; 7] =
    [Choice::Approve, Choice::Refuse, Choice::Retry, Choice::Amend, Choice::AskCustomer, Choice::Applied, Choice::NotApplied];

pub(super) fn read_reasons(reader: &mut Reader<'_>, node: &Node) -> Option<BTreeMap<String, Reason>> {
    let mut reasons = BTreeMap::new();
    let mut right = true;
    for (key, value) in reader.entries(node, "reasons")? {
        right &= reader.check_name(&key.name, key.at);
        match read_reason(reader, value) {
            Some(reason) => {
                reasons.insert(key.name.clone(), reason);
            }
            None => right = false,
        }
    }
    right.then_some(reasons)
}

fn read_reason(reader: &mut Reader<'_>, node: &Node) -> Option<Reason> {
    let fields = reader.fields(node, "a reason", REASON_KEYS)?;
    let customer = reader.need(&fields, "customer").and_then(|node| reader.texts(node, "the customer's text"));
    let remedy = fields.get("remedy").map(|node| reader.texts(node, "the remedy"));
    Some(Reason { customer: customer?, remedy: super::call::flip(remedy)? })
}

pub(super) fn read_reviews(reader: &mut Reader<'_>, node: &Node) -> Option<BTreeMap<String, ReviewSpec>> {
    let mut reviews = BTreeMap::new();
    let mut right = true;
    for (key, value) in reader.entries(node, "reviews")? {
        right &= reader.check_name(&key.name, key.at);
        match read_review_spec(reader, value) {
            Some(review) => {
                reviews.insert(key.name.clone(), review);
            }
            None => right = false,
        }
    }
    right.then_some(reviews)
}

fn read_review_spec(reader: &mut Reader<'_>, node: &Node) -> Option<ReviewSpec> {
    let fields = reader.fields(node, "a review", REVIEW_SPEC_KEYS)?;
    let question = reader.need(&fields, "question").and_then(|node| reader.texts(node, "the question"));
    let options = reader.need(&fields, "options").and_then(|node| read_options(reader, node));
    let due = reader.need(&fields, "due").and_then(|node| reader.length(node, "due"));
    let four_eyes = fields.get("four_eyes").map_or(Some(false), |node| reader.flag(node, "four_eyes"));
    let role = fields.get("role").map(|node| reader.name(node, "role"));
    Some(ReviewSpec { question: question?, options: options?, due: due?, four_eyes: four_eyes?, role: super::call::flip(role)? })
}

fn read_options(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Choice>> {
    let mut options = Vec::new();
    let mut right = true;
    let items = reader.list(node, "options")?;
    for item in items {
        let name = match &item.value {
            Value::Text(name) => name.as_str(),
            _ => "",
        };
        match CHOICES.into_iter().find(|choice| choice.as_str() == name) {
            Some(choice) if options.contains(&choice) => {
                reader.report.error(item.at, format!("the option `{name}` stands here twice"));
            }
            Some(choice) => options.push(choice),
            None => {
                let names = CHOICES.iter().map(|choice| choice.as_str());
                let hint = did_you_mean(name, names.clone())
                    .map_or_else(|| format!("the options are {}", quoted(names)), |near| format!("did you mean `{near}`?"));
                reader.report.error_hint(item.at, format!("`{}` is not an option", reader.report.slice(item.at).trim()), hint);
                right = false;
            }
        }
    }
    if items.is_empty() {
        reader.report.error(node.at, "a review has at least one option");
    }
    right.then_some(options)
}
