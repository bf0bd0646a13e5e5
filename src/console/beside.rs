//! A list of the inbox beside the review that somebody has open, as they came from it: on wide screens both are seen, on others the
//! style sheet leaves the list out.

use askama::Template;

use super::Console;
use super::decide::here;
use super::inbox::{Row, label, listed, now, row};
use super::read::{List, Review};
use super::session::Seat;
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
    done: bool,
    next: Option<String>,
}

impl Beside {
    /// The list that this review was opened from; `None` where it was opened from somewhere else.
    pub(super) async fn of(console: &Console, seat: &Seat, way: &Way, id: &str) -> Result<Option<Beside>, Refused> {
        if way.tab.is_empty() {
            return Ok(None);
        }
        let (t, now) = (seat.look.lang.texts(), now(console));
        let list: List<Review> = listed(console, seat, way).await?;
        let pick = |review: &Review| Pick { row: row(review, seat, now, way), here: review.id == id };
        Ok(Some(Beside {
            t,
            label: label(way.tab, t),
            inbox: way.inbox(),
            again: with(&here(id, way), "part=list"),
            picks: list.items.iter().map(pick).collect(),
            done: way.tab == "done",
            next: list.next().map(|cursor| way.at(cursor).inbox()),
        }))
    }
}
