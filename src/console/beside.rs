//! A list of the inbox beside the review that somebody has open, as they came from it: on wide screens both are seen, on others the
//! style sheet leaves the list out. The row that one is on stays in it, whatever becomes of the review: claimed, it is
//! none of the unassigned any more, and whoever works on it would be nowhere.

use askama::Template;

use super::Console;
use super::decide::here;
use super::inbox::{Row, label, listed, now, row};
use super::read::{List, Review};
use super::session::Seat;
use super::show;
use super::standing::with;
use super::text::Texts;
use super::way::Way;
use crate::api::Refused;

struct Pick {
    row: Row,
    here: bool,
}

/// The list.
#[derive(Template)]
#[template(path = "beside.html")]
pub(super) struct Beside {
    t: &'static Texts,
    label: &'static str,
    /// The inbox itself.
    inbox: String,
    /// Its address when it is asked for alone.
    again: String,
    picks: Vec<Pick>,
    /// There is nothing in this list, but for the row that one is on.
    none_left: bool,
    done: bool,
    next: Option<String>,
}

impl Beside {
    /// The list that this review was opened from; `None` where it was opened from somewhere else. Where the list lacks the review and
    /// it was not read already, it is asked for.
    pub(super) async fn of(
        console: &Console,
        seat: &Seat,
        way: &Way,
        id: &str,
        known: Option<&Review>,
    ) -> Result<Option<Beside>, Refused> {
        if way.tab.is_empty() {
            return Ok(None);
        }
        let (t, now) = (seat.look.lang.texts(), now(console));
        let list: List<Review> = listed(console, seat, way).await?;
        let pick = |review: &Review| Pick { row: row(review, seat, now, way), here: review.id == id };
        let mut picks: Vec<Pick> = list.items.iter().map(pick).collect();
        let none_left = picks.is_empty();
        if picks.iter().all(|pick| !pick.here) {
            let asked: Review;
            let review = if let Some(review) = known {
                review
            } else {
                asked = console.desk().get(&seat.person, &format!("/v1/reviews/{id}")).await?;
                &asked
            };
            picks.insert(place(way, &list.items, review), pick(review));
        }
        Ok(Some(Beside {
            t,
            label: label(way.tab, t),
            inbox: way.inbox(),
            again: with(&here(id, way), "part=list"),
            picks,
            none_left,
            done: way.tab == "done",
            next: list.next().map(|cursor| way.at(cursor).inbox()),
        }))
    }
}

/// Where it would stand: lists are in the order of their times, but for what was decided, the newest of which comes first.
fn place(way: &Way, items: &[Review], review: &Review) -> usize {
    let at = |review: &Review| show::read(&review.due_at);
    let later = |other: &Review| way.tab == "done" || (at(other), &other.id) > (at(review), &review.id);
    items.iter().position(later).unwrap_or(items.len())
}
