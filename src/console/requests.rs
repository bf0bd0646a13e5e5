//! Searching requests: words with qualifiers, all of them in the address.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use uuid::Uuid;

use super::form::{Fields, Query, encoded};
use super::frame::{Frame, page};
use super::home::shown;
use super::inbox::now;
use super::read::{List, Request};
use super::session::Seat;
use super::show::{self, When};
use super::text::put;
use super::{Console, trouble, words};
use crate::api::Refused;
use crate::domain::time::{Time, parse_duration};

/// Rows of a page.
const PAGE: usize = 50;
/// What may stand before a colon, and the interface's name for it.
const QUALIFIERS: [(&str, &str); 10] = [
    ("process", "process"),
    ("state", "state"),
    ("reason", "reason"),
    ("step", "step"),
    ("parked", "parked"),
    ("connector", ""),
    ("customer", "customer"),
    ("producer", "producer"),
    ("message", "message"),
    ("age", ""),
];

/// A search, understood.
#[derive(Debug, Default, PartialEq)]
struct Search {
    /// For the interface.
    query: String,
    /// A part that is not understood.
    bad: Option<String>,
    /// A message's id without whose it is.
    alone: bool,
    /// It is the id of one request.
    id: Option<Uuid>,
}

pub(super) struct Row {
    pub(super) href: String,
    pub(super) id: String,
    pub(super) process: String,
    pub(super) customer: String,
    pub(super) state: String,
    pub(super) label: String,
    pub(super) why: String,
    pub(super) step: String,
    pub(super) at: Option<When>,
    pub(super) took: String,
}

struct Quick {
    href: String,
    label: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "requests.html")]
struct RequestsPage {
    f: Frame,
    q: String,
    bad: String,
    help: String,
    quick: Vec<Quick>,
    words: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
    again: String,
    empty: &'static str,
    looked: String,
}

#[derive(Template)]
#[template(path = "requests_list.html")]
struct RequestsList {
    f: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    again: String,
    empty: &'static str,
    looked: String,
}

/// The page, or only its list where a script asks for it anew.
pub(super) async fn requests(State(console): State<Console>, seat: Seat, headers: HeaderMap, Query(query): Query) -> Response {
    match view(&console, &seat, &query, headers.contains_key("hx-request")).await {
        Ok(response) => shown(&console, &seat, response),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, fields: &Fields, part: bool) -> Result<Response, Refused> {
    let t = seat.look.lang.texts();
    let q: String = fields.one("q").chars().filter(|c| !c.is_control()).take(words::LONGEST).collect();
    let at = now(console);
    let search = understand(&q, at);
    if let Some(id) = search.id {
        return Ok(Redirect::to(&format!("/console/requests/{id}")).into_response());
    }
    let cursor = fields.some("cursor").map(|cursor| format!("&cursor={}", encoded(cursor))).unwrap_or_default();
    let nothing = || List { items: Vec::new(), next: None };
    let (list, bad) = match search.bad {
        Some(bad) => (nothing(), Some(put(t.requests.bad_query, &[&bad]))),
        None if search.alone => (nothing(), Some(t.requests.message_alone.to_owned())),
        None => match console.desk().get(&seat.person, &format!("/v1/requests?limit={PAGE}{}{cursor}", search.query)).await {
            Ok(list) => (list, None),
            // A value that the interface does not take, such as an unknown state.
            Err(refused) if refused.status == 400 => (nothing(), Some(refused.detail)),
            Err(refused) => return Err(refused),
        },
    };
    // What was asked for is done; what is offered comes after it. What was not understood is completed.
    let begun = if q.is_empty() || bad.is_some() && !search.alone { q.clone() } else { format!("{q} ") };
    let words = if part { Vec::new() } else { words::offers(&begun, &words::known(console, seat).await?) };
    Ok(made(seat, Found { q, bad: bad.unwrap_or_default(), words, list, at, cursor }, part))
}

/// When the request at this cursor was accepted.
fn looked_back_to(cursor: &str, seat: &Seat) -> Option<String> {
    let (seconds, nanos) = Uuid::parse_str(cursor).ok()?.get_timestamp()?.to_unix();
    let at = Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()?;
    Some(at.to_zoned(seat.look.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string())
}

/// What came of a search.
struct Found {
    q: String,
    bad: String,
    words: Vec<String>,
    list: List<Request>,
    at: Timestamp,
    cursor: String,
}

fn made(seat: &Seat, found: Found, part: bool) -> Response {
    let Found { q, bad, words, list, at, cursor } = found;
    let t = seat.look.lang.texts();
    let next = list.next().map(|cursor| format!("/console/requests?q={}&cursor={}", encoded(&q), encoded(&cursor)));
    // A page that is not full and not the last: the interface looks at a bounded number of requests.
    let looked = list.next().filter(|_| list.items.len() < PAGE).and_then(|cursor| looked_back_to(&cursor, seat));
    let looked = looked.map(|to| put(t.requests.looked_back_to, &[&to])).unwrap_or_default();
    let rows = list.items.iter().map(|request| row(request, seat, at)).collect();
    let again = format!("/console/requests?q={}{cursor}", encoded(&q));
    // Where it was not understood nothing was looked for.
    let empty = match (q.is_empty(), bad.is_empty()) {
        (true, _) => t.requests.none_yet,
        (false, true) => t.requests.empty,
        (false, false) => "",
    };
    let f = Frame::of(seat, t.requests.title, "/console/requests");
    if part {
        return page(&seat.look, &RequestsList { f, rows, next, again, empty, looked });
    }
    let names: Vec<String> = QUALIFIERS.iter().map(|(name, _)| format!("{name}:")).collect();
    let quick = ["", "state:in_review", "state:parked", "state:waiting", "state:running,queued", "state:done", "state:refused"];
    let label = |q: &str| match q {
        "" => t.common.all.to_owned(),
        "state:running,queued" => t.state("running").to_owned(),
        other => t.state(other.strip_prefix("state:").unwrap_or(other)).to_owned(),
    };
    let quick = quick.iter().map(|word| Quick {
        href: format!("/console/requests?q={}", encoded(word)),
        label: label(word),
        here: *word == q,
    });
    let view = RequestsPage {
        f,
        help: put(t.requests.query_help, &[&names.join(" ")]),
        quick: quick.collect(),
        bad,
        words,
        q,
        rows,
        next,
        again,
        empty,
        looked,
    };
    page(&seat.look, &view)
}

/// A row of a list of requests.
pub(super) fn row(request: &Request, seat: &Seat, now: Timestamp) -> Row {
    let t = seat.look.lang.texts();
    let (accepted, ended) = (show::read(&request.accepted_at), request.ended_at.as_deref().and_then(show::read));
    let took = accepted.zip(ended).map(|(from, to)| show::span(to.as_microsecond() - from.as_microsecond(), t));
    let why = request.reason.as_ref().map(|reason| reason.name.clone());
    let why = why.or_else(|| request.review.as_ref().map(|asked| asked.name.clone())).or_else(|| request.parked.clone());
    Row {
        href: format!("/console/requests/{}", request.id),
        id: show::short_id(&request.id).to_owned(),
        process: request.process.clone(),
        customer: request.customer.clone(),
        state: request.state.clone(),
        label: t.state(&request.state).to_owned(),
        why: why.unwrap_or_default(),
        step: request.step.clone().filter(|_| request.ended_at.is_none()).unwrap_or_default(),
        at: accepted.map(|at| When::new(at, now, &seat.look)),
        took: took.unwrap_or_default(),
    }
}

/// The words of a search; quotation marks keep together what belongs together, and are no part of it.
fn split(q: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in q.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => all.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    all.push(word);
    all.retain(|word| !word.is_empty());
    all
}

/// Reads a search: `process:card_unbind state:parked age:>1h`, an id, or a customer, whose name may have several words.
fn understand(q: &str, now: Timestamp) -> Search {
    let mut search = Search::default();
    let mut customer: Vec<&str> = Vec::new();
    let words = split(q);
    for word in &words {
        let Some((name, value)) = word.split_once(':') else {
            match Uuid::try_parse(word) {
                Ok(id) => search.id = Some(id),
                Err(_) => customer.push(word),
            }
            continue;
        };
        match (QUALIFIERS.iter().find(|(known, _)| *known == name), value) {
            (_, "") | (None, _) => {
                search.bad.get_or_insert_with(|| word.clone());
            }
            (Some(("age", _)), value) => match age(value, now) {
                Some(part) => search.query.push_str(&part),
                None => {
                    search.bad.get_or_insert_with(|| word.clone());
                }
            },
            (Some(("connector", _)), name) => search.query.extend(["&parked=", encoded(&format!("dependency:{name}")).as_str()]),
            (Some((_, name)), value) => search.query.extend(["&", name, "=", encoded(value).as_str()]),
        }
    }
    let given = |name: &str| words.iter().any(|word| word.starts_with(name));
    search.alone = given("message:") && !given("producer:");
    if !customer.is_empty() {
        search.query.extend(["&customer=", encoded(&customer.join(" ")).as_str()]);
    }
    search
}

/// `>1h`: accepted more than an hour ago; `<1h`: less.
fn age(value: &str, now: Timestamp) -> Option<String> {
    let (name, length) = match value.split_at_checked(1)? {
        (">", length) => ("before", length),
        ("<", length) => ("after", length),
        _ => return None,
    };
    let at = Time(now.as_microsecond()).minus(parse_duration(length).ok()?);
    Some(format!("&{name}={}", encoded(&at.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_understood() {
        let now = Timestamp::from_second(7_200).unwrap_or_default();
        let query = |q: &str| understand(q, now).query;
        assert_eq!(query("process:card_unbind state:parked,waiting"), "&process=card%5Funbind&state=parked%2Cwaiting");
        assert_eq!(query("parked:dependency:bank C-1"), "&parked=dependency%3Abank&customer=C%2D1");
        assert_eq!(query("age:>1h"), "&before=1970%2D01%2D01T01%3A00%3A00%2E000000Z");
        assert_eq!(query("connector:bank"), "&parked=dependency%3Abank");
        assert_eq!(query(""), "");
        assert_eq!(query("王 小明 state:done"), "&state=done&customer=%E7%8E%8B%20%E5%B0%8F%E6%98%8E");
        assert_eq!(query("customer:\"li wei\""), "&customer=li%20wei");
        assert_eq!(query("\"li  wei"), "&customer=li%20%20wei");
        assert_eq!(query("producer:web message:urn:m-1"), "&producer=web&message=urn%3Am%2D1");
        assert!(understand("message:m-1 state:done", now).alone && !understand("message:m-1 producer:web", now).alone);
        for bad in ["colour:red", "state:", "age:1h", "age:>soon", "age:"] {
            assert_eq!(understand(bad, now).bad.as_deref(), Some(bad));
        }
        let id = "0192f3a4-0000-7000-8000-00000000000a";
        assert_eq!(understand(id, now).id.map(|id| id.to_string()).as_deref(), Some(id));
    }
}
