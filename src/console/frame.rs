//! What every page is framed by: language, theme, who is signed in, where they can go, and what the last act came to.

use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::tz::TimeZone;

use super::session::{Seat, cookie};
use super::text::{EN, Texts, ZH};
use super::way::Way;
use super::{around, assets, trouble};
use crate::api::permit::Action;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lang {
    /// English.
    En,
    /// 简体中文.
    Zh,
}

impl Lang {
    /// The tag: in `lang=`, and in texts that process files give by language.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh-CN",
        }
    }

    /// All texts in this language.
    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Lang::En => &EN,
            Lang::Zh => &ZH,
        }
    }
}

/// How somebody wants pages to look; kept in cookies of their own, because it says nothing about anybody.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// The language.
    pub(super) lang: Lang,
    /// `auto`, `light`, `dark`.
    pub(super) theme: &'static str,
    /// Single keys act.
    pub(super) keys: bool,
    /// Pages follow what happens.
    pub(super) live: bool,
    /// Where times are shown in.
    pub(super) zone: TimeZone,
    /// What the last act came to, as a word.
    pub(super) told: Option<String>,
}

impl Look {
    /// From cookies, and from the browser's languages where nothing was chosen.
    pub(super) fn of(headers: &HeaderMap) -> Look {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let chinese = accepted.split(',').next().is_some_and(|first| first.trim().to_ascii_lowercase().starts_with("zh"));
        let lang = match cookie(headers, "mozhao_lang") {
            Some("en") => Lang::En,
            Some("zh-CN") => Lang::Zh,
            _ if chinese => Lang::Zh,
            _ => Lang::En,
        };
        let theme = match cookie(headers, "mozhao_theme") {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "auto",
        };
        let zone = cookie(headers, "mozhao_zone").map(|name| name.replace("%2F", "/"));
        let zone = zone.filter(|name| name.len() <= 64).and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
        let told = cookie(headers, "mozhao_told").filter(|told| told.len() <= 64).map(str::to_owned);
        let keys = cookie(headers, "mozhao_keys") != Some("off");
        let live = cookie(headers, "mozhao_live") != Some("off");
        Look { lang, theme, keys, live, zone, told }
    }
}

/// A place to go to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its address.
    pub(super) href: &'static str,
    /// What it is called.
    pub(super) label: &'static str,
    /// The key that goes there after `g`.
    pub(super) key: &'static str,
    /// It is where we are.
    pub(super) here: bool,
}

/// What came of the last act.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// `good` or `bad`.
    pub(super) kind: &'static str,
    /// In words.
    pub(super) text: &'static str,
    /// The review whose decision can be taken back; else empty.
    pub(super) undo: String,
}

/// What the layout needs.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The texts.
    pub(super) t: &'static Texts,
    /// The language's tag.
    pub(super) lang: &'static str,
    /// `auto`, `light`, `dark`.
    pub(super) theme: &'static str,
    /// The page's title; never anything personal.
    pub(super) title: String,
    /// For scripts.
    pub(super) nonce: String,
    /// For forms.
    pub(super) csrf: String,
    /// The page's own address, to come back to.
    pub(super) here: String,
    /// Who is signed in.
    pub(super) name: String,
    /// Their roles.
    pub(super) roles: String,
    /// Where they can go.
    pub(super) places: Vec<Place>,
    /// Single keys act.
    pub(super) keys: bool,
    /// Pages follow what happens.
    pub(super) live: bool,
    /// What the last act came to.
    pub(super) told: Option<Told>,
    /// The list that somebody works through: what is taken back leads there.
    pub(super) way: Way,
    /// The style sheet's address.
    pub(super) css: String,
    /// The scripts' addresses.
    pub(super) js: [String; 2],
    /// The picture's address.
    pub(super) seal: String,
    /// May search requests.
    pub(super) searches: bool,
}

impl Frame {
    /// For a page that anybody may see.
    pub(super) fn open(look: &Look, title: &str) -> Frame {
        Frame {
            t: look.lang.texts(),
            lang: look.lang.tag(),
            theme: look.theme,
            title: title.to_owned(),
            nonce: around::nonce(),
            csrf: String::new(),
            here: around::here(),
            name: String::new(),
            roles: String::new(),
            places: Vec::new(),
            keys: look.keys,
            live: false,
            told: None,
            way: Way::default(),
            css: assets::address("console.css"),
            js: [assets::address("htmx.min.js"), assets::address("console.js")],
            seal: assets::address("seal.svg"),
            searches: false,
        }
    }

    /// For somebody who is signed in; `here` is the place that the page belongs to.
    pub(super) fn of(seat: &Seat, title: &str, here: &str) -> Frame {
        let t = seat.look.lang.texts();
        let roles: Vec<&str> = seat.person.roles.iter().map(|role| t.role(role)).collect();
        let open = Frame::open(&seat.look, title);
        Frame {
            csrf: seat.csrf.clone(),
            name: seat.person.name.clone(),
            roles: roles.join(t.common.comma),
            places: places(seat, t, here),
            live: seat.look.live,
            told: seat.look.told.as_deref().and_then(|word| told(t, word)),
            way: Way::of_page(&open.here),
            searches: seat.may(Action::ReadRequests),
            ..open
        }
    }
}

/// Where somebody can go, by what they may do there.
fn places(seat: &Seat, t: &'static Texts, here: &str) -> Vec<Place> {
    let all = [
        (Action::ReadOperations, "/console/overview", t.nav.overview, "o"),
        (Action::ReadReviews, "/console/reviews", t.nav.inbox, "i"),
        (Action::ReadRequests, "/console/requests", t.nav.requests, "r"),
        (Action::ReadOperations, "/console/defects", t.nav.defects, "d"),
        (Action::ReadOperations, "/console/dependencies", t.nav.dependencies, "c"),
        (Action::ReadOperations, "/console/workers", t.nav.workers, "w"),
        (Action::ReadProcesses, "/console/processes", t.nav.processes, "p"),
        (Action::ReadReviews, "/console/decisions", t.nav.decisions, "a"),
        (Action::ReadOperations, "/console/ledger", t.nav.ledger, "l"),
    ];
    let mine = all.into_iter().filter(|(action, ..)| seat.may(*action));
    mine.map(|(_, href, label, key)| Place { href, label, key, here: href == here }).collect()
}

/// The words that an act may leave behind for the next page.
fn told(t: &'static Texts, word: &str) -> Option<Told> {
    let good = |text| Some(Told { kind: "good", text, undo: String::new() });
    let bad = |text| Some(Told { kind: "bad", text, undo: String::new() });
    if let Some(review) = word.strip_prefix("held.").filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
    {
        return Some(Told { kind: "good", text: t.told.held, undo: review.to_owned() });
    }
    match word {
        "signed-in" => good(t.told.signed_in),
        "saved" => good(t.told.saved),
        "claimed" => good(t.told.claimed),
        "released" => good(t.told.released),
        "decided" => good(t.told.decided),
        "pending" => good(t.told.pending),
        "second-needed" => good(t.told.second_needed),
        "escalated" => good(t.told.escalated),
        "undone" => good(t.told.undone),
        "snoozed" => good(t.told.snoozed),
        "woken" => good(t.told.woken),
        "batch-stopped" => good(t.together.stopped),
        "noted" => good(t.told.noted),
        "withdrawn" => good(t.told.withdrawn),
        "retried" => good(t.told.retried),
        "moved" => good(t.told.moved),
        "resumed" => good(t.told.resumed),
        "tripped" => good(t.told.tripped),
        "reset" => good(t.told.reset),
        "nothing-left" => good(t.told.nothing_left),
        "set-aside" => bad(t.told.set_aside),
        "too-late" => bad(t.told.too_late),
        _ => None,
    }
}

/// A page from its template.
pub(super) fn page<T: askama::Template>(look: &Look, template: &T) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            trouble::internal(look)
        }
    }
}
