//! What may be typed next into a search: qualifiers, and after a colon the values that are known.
//!
//! A browser completes whole values and not the last word of several, so each offer is the whole search as it would be. It stands in the
//! page itself, and is asked for anew while somebody types where scripts run.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::form::Query;
use super::frame::page;
use super::read::List;
use super::session::Seat;
use super::{Console, trouble};
use crate::api::Refused;

/// The most offers at once.
const MOST: usize = 60;
/// The longest search that is completed, in characters.
pub(super) const LONGEST: usize = 300;
/// How many values of a qualifier are offered before anything is typed.
const FEW: usize = 12;
/// Ages that are offered.
const AGES: [&str; 6] = [">1h", ">4h", ">1d", ">7d", "<1h", "<1d"];

/// A qualifier of the interface and its known values.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Qualifier {
    name: String,
    values: Vec<String>,
}

#[derive(Template)]
#[template(path = "words.html")]
struct Words {
    words: Vec<String>,
}

/// What to offer for a search.
pub(super) async fn words(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    let q: String = query.whole("q").chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    match known(&console, &seat).await {
        Ok(known) => page(&seat.look, &Words { words: offers(&q, &known) }),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

/// The qualifiers of this search, as this person may use them.
pub(super) async fn known(console: &Console, seat: &Seat) -> Result<Vec<Qualifier>, Refused> {
    let list: List<Qualifier> = console.desk().get(&seat.person, "/v1/qualifiers").await?;
    let connectors = list.items.iter().filter(|qualifier| qualifier.name == "parked").flat_map(|parked| &parked.values);
    let connectors: Vec<String> = connectors.filter_map(|group| group.strip_prefix("dependency:")).map(str::to_owned).collect();
    let waits = (!connectors.is_empty()).then(|| Qualifier { name: "connector".to_owned(), values: connectors });
    let aged = |qualifier: Qualifier| match qualifier.name.as_str() {
        "before" => Some(Qualifier { name: "age".to_owned(), values: AGES.map(str::to_owned).to_vec() }),
        "after" => None,
        _ => Some(qualifier),
    };
    Ok(list.items.into_iter().filter_map(aged).chain(waits).collect())
}

/// The search with its last word completed, in every way that is known.
pub(super) fn offers(q: &str, known: &[Qualifier]) -> Vec<String> {
    let at = q.rfind(char::is_whitespace).map_or(0, |at| at + q[at..].chars().next().map_or(0, char::len_utf8));
    let (before, word) = q.split_at(at);
    let given = |qualifier: &str| before.split_whitespace().any(|word| word.starts_with(&format!("{qualifier}:")));
    let mut found: Vec<String> = Vec::new();
    if let Some((name, value)) = word.split_once(':') {
        // Several values stand between commas: the last one is completed.
        let (done, begun) = value.rsplit_once(',').map_or(("", value), |(done, begun)| (&value[..=done.len()], begun));
        let values = known.iter().filter(|qualifier| qualifier.name == name).flat_map(|qualifier| &qualifier.values);
        let fits = values.filter(|value| value.contains(begun) && !done.split(',').any(|done| done == value.as_str()));
        found.extend(fits.map(|value| format!("{before}{name}:{done}{value}")));
    } else {
        // The bare qualifiers, and those of their values that fit the letters; without letters, where there are few. Each once.
        let mut free: Vec<&Qualifier> = known.iter().filter(|qualifier| !given(&qualifier.name)).collect();
        // A message's id says nothing without whose it is.
        if given("message") {
            free.sort_by_key(|qualifier| qualifier.name != "producer");
        }
        found.extend(free.iter().filter(|one| one.name.starts_with(word)).map(|one| format!("{before}{}:", one.name)));
        let some = free.iter().filter(|one| !word.is_empty() || one.values.len() <= FEW);
        let spelled = some.flat_map(|one| one.values.iter().map(|value| format!("{}:{value}", one.name)));
        found.extend(spelled.filter(|spelled| spelled.contains(word)).map(|spelled| format!("{before}{spelled}")));
    }
    found.retain(|offer| offer != q && offer.chars().count() <= LONGEST);
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qualifier(name: &str, values: &[&str]) -> Qualifier {
        Qualifier { name: name.to_owned(), values: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn the_last_word_is_completed() {
        let known = [
            qualifier("process", &["card_unbind", "phone_change"]),
            qualifier("state", &["parked", "in_review"]),
            qualifier("parked", &["dependency:face"]),
            qualifier("customer", &[]),
            qualifier("producer", &[]),
            qualifier("message", &[]),
        ];
        let offers = |q: &str| offers(q, &known);
        assert_eq!(offers("state:"), ["state:parked", "state:in_review"]);
        assert_eq!(offers("process:card_unbind state:pa"), ["process:card_unbind state:parked"]);
        assert_eq!(offers("state:parked,"), ["state:parked,in_review"]);
        assert_eq!(offers("parked:dep"), ["parked:dependency:face"]);
        assert_eq!(offers("pro"), ["process:", "producer:", "process:card_unbind", "process:phone_change"]);
        assert_eq!(offers("unb"), ["process:card_unbind"]);
        assert_eq!(offers("cust"), ["customer:"]);
        assert_eq!(offers("message:m-1 ")[..2], ["message:m-1 producer:", "message:m-1 process:"]);
        assert_eq!(offers("producer:web mes"), ["producer:web message:"]);
        assert_eq!(offers("state:parked cust"), ["state:parked customer:"]);
        assert!(offers("").contains(&"state:parked".to_owned()) && offers("").contains(&"customer:".to_owned()));
        assert!(!offers("state:parked ").iter().any(|offer| offer.contains(" state:")), "each qualifier once");
        assert!(offers("colour:").is_empty() && offers("state:parked").is_empty());
        assert_eq!(offers("状态\u{3000}st"), ["状态\u{3000}state:", "状态\u{3000}state:parked", "状态\u{3000}state:in_review"]);
        assert!(offers(&"x".repeat(400)).is_empty());
    }
}
