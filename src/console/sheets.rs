//! What people decided, saw and did as tables for other programs: all of it, sent page by page as it is read.

use std::future::ready;
use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{once, try_unfold};

use super::audit::Narrowed;
use super::form::{Query, encoded};
use super::read::{Act, List, Look, Review};
use super::session::Seat;
use super::{Console, trouble};
use crate::api::Refused;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sheet {
    Decisions,
    Looks,
    Acts,
}

impl Sheet {
    /// By the tab of the page.
    pub(super) fn of(tab: &str) -> Sheet {
        match tab {
            "looks" => Sheet::Looks,
            "acts" => Sheet::Acts,
            _ => Sheet::Decisions,
        }
    }

    fn head(self) -> &'static str {
        match self {
            Sheet::Decisions => "closed_at,review,request,process,version,question,choice,reason,by,first_by,note\r\n",
            Sheet::Looks => "at,by,request,field,reason\r\n",
            Sheet::Acts => "at,by,what,request,review,detail\r\n",
        }
    }

    fn disposition(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Sheet::Decisions => "attachment; filename=\"decisions.csv\"",
            Sheet::Looks => "attachment; filename=\"looks.csv\"",
            Sheet::Acts => "attachment; filename=\"acts.csv\"",
        })
    }
}

/// The table of a tab.
pub(super) async fn csv(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    let sheet = Sheet::of(query.one("tab"));
    let kept = Narrowed::of(sheet, &query, &seat.look).asked();
    let (head, next) = match part(&console, &seat, sheet, &kept, "").await {
        Ok(part) => part,
        Err(refused) => return trouble::refused(&seat, &refused),
    };
    let first = once(ready(Ok(format!("{}{head}", sheet.head()))));
    // What cannot be read ends the answer before its end: a browser says so, and nobody takes a part for the whole.
    let rest = try_unfold(next, move |next| {
        let (console, seat, kept) = (console.clone(), seat.clone(), kept.clone());
        async move {
            let Some(cursor) = next else { return Ok(None) };
            let part = part(&console, &seat, sheet, &kept, &format!("&cursor={}", encoded(&cursor))).await;
            part.map(Some).map_err(|refused| io::Error::other(refused.detail))
        }
    });
    let mut response = Body::from_stream(first.chain(rest)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CONTENT_DISPOSITION, sheet.disposition());
    response
}

/// Some lines of the table, and where the next ones begin.
async fn part(
    console: &Console,
    seat: &Seat,
    sheet: Sheet,
    kept: &str,
    cursor: &str,
) -> Result<(String, Option<String>), Refused> {
    let (desk, person) = (console.desk(), &seat.person);
    let address = |list: &str| format!("/v1/{list}?limit=200{kept}{cursor}");
    match sheet {
        Sheet::Decisions => {
            let list: List<Review> = desk.get(person, &address("decisions")).await?;
            Ok((list.items.iter().map(decision).collect(), list.next()))
        }
        Sheet::Looks => {
            let list: List<Look> = desk.get(person, &address("looks")).await?;
            let look = |look: &Look| line(&[&look.at, &look.by, &look.request, &look.field, &look.reason]);
            Ok((list.items.iter().map(look).collect(), list.next()))
        }
        Sheet::Acts => {
            let list: List<Act> = desk.get(person, &address("acts")).await?;
            Ok((list.items.iter().map(act).collect(), list.next()))
        }
    }
}

fn decision(review: &Review) -> String {
    let decision = review.decision.clone().unwrap_or_default();
    line(&[
        review.closed_at.as_deref().unwrap_or_default(),
        &review.id,
        &review.request,
        &review.process,
        &review.process_version.to_string(),
        &review.name,
        &decision.choice,
        decision.reason.as_deref().unwrap_or_default(),
        &decision.by,
        decision.first_by.as_deref().unwrap_or_default(),
        &decision.note,
    ])
}

fn act(act: &Act) -> String {
    let (request, review) = (act.request.as_deref(), act.review.as_deref());
    line(&[&act.at, &act.by, &act.what, request.unwrap_or_default(), review.unwrap_or_default(), &act.detail])
}

fn line(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell. What a spreadsheet would take for a formula is made a text.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = cell.replace('"', "\"\"");
    format!("\"{}{cell}\"", if formula { "'" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas() {
        assert_eq!(quoted("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(quoted("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
        assert_eq!(quoted("@x"), "\"'@x\"");
    }
}
