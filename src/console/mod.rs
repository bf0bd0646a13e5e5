//! The console: pages for the people who settle exceptions, keep things running and look things up.
//!
//! Two things are hard. The pages show texts that strangers wrote — payloads, answers of remote systems, notes — next to
//! buttons that move money; so everything is escaped by the templates, no script stands in a page (`around`), every form
//! carries a token of its session (`form`), and a page reaches requests only through [`crate::api::Desk`], which is the HTTP
//! interface with its permissions and masks. And people work here for hours, with and without a mouse, with and without
//! scripts: every state of a list is in its address, every act is a form that is answered by a redirect, and what scripts add
//! (`assets/console.js`) is never needed.
//!
//! A page is three things: a route here, a file that asks the desk and makes a view model, and a template of the same name.
//! All texts are in `text`, in both languages side by side.

mod answers;
mod around;
mod assets;
mod attention;
mod audit;
mod batch;
mod beside;
mod decide;
mod defects;
mod dependencies;
mod diagram;
mod draft;
mod enter;
mod form;
mod frame;
mod home;
mod inbox;
pub mod links;
mod live;
pub mod oidc;
mod overview;
pub mod passwords;
mod plot;
mod processes;
mod read;
mod refusals;
mod request;
mod requests;
mod review;
mod seen;
mod session;
mod sheets;
mod show;
mod signed_out;
mod standing;
mod text;
mod timeline;
mod together;
mod trouble;
mod versions;
mod views;
mod way;
mod why;
mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::api::Desk;
use crate::engine::service::Engine;

/// Where everything is.
pub(crate) const ROOT: &str = "/console";

/// What the pages share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Console(Arc<Inner>);

struct Inner {
    /// The way to requests, reviews and groups.
    desk: Desk,
    /// For sessions and the clock only.
    engine: Engine,
    /// The public address is https: cookies are for it alone.
    secure: bool,
    /// What tells pages that something happened.
    live: live::Live,
    /// Looks at passwords.
    passwords: passwords::Passwords,
    /// The identity provider.
    oidc: Option<oidc::Oidc>,
    /// How long a decision can be taken back.
    undo: Duration,
}

/// How people get in, besides links and passwords.
#[derive(Debug, Default)]
pub struct Doors {
    /// The address that people see.
    pub public_url: String,
    /// An identity provider.
    pub oidc: Option<oidc::Oidc>,
    /// How long a decision can be taken back; zero: not at all.
    pub undo: Duration,
}

impl Console {
    fn desk(&self) -> &Desk {
        &self.0.desk
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn secure(&self) -> bool {
        self.0.secure
    }

    fn passwords(&self) -> &passwords::Passwords {
        &self.0.passwords
    }

    fn undo(&self) -> Duration {
        self.0.undo
    }

    fn oidc(&self) -> Option<&oidc::Oidc> {
        self.0.oidc.as_ref()
    }
}

/// The pages. Called inside a runtime: live pages have a task.
pub fn router(desk: Desk, engine: Engine, doors: Doors) -> Router {
    let secure = doors.public_url.starts_with("https://");
    let console = Console(Arc::new(Inner {
        desk,
        engine: engine.clone(),
        secure,
        live: live::Live::default(),
        passwords: passwords::Passwords::default(),
        oidc: doors.oidc,
        undo: doors.undo,
    }));
    tokio::spawn(live::watch(Arc::downgrade(&console.0), engine));
    let pages = Router::new()
        .route("/console", get(home::home))
        .route("/console/", get(home::home))
        .route("/console/sign-in", get(enter::how).post(enter::with_password))
        .route("/console/sign-in/away", get(oidc::away))
        .route("/console/sign-in/back", get(oidc::back))
        .route("/console/enter/{secret}", get(enter::ask).post(enter::enter))
        .route("/console/sign-out", post(enter::leave))
        .route("/console/settings", post(home::settings))
        .route("/console/help", get(home::help))
        .route("/console/live", get(live::live))
        .route("/console/reviews", get(inbox::inbox))
        .route("/console/reviews/next", post(inbox::next))
        .route("/console/reviews/together", get(together::together).post(together::decide))
        .route("/console/reviews/batches", get(batch::batches))
        .route("/console/reviews/batches/{id}", get(batch::batch))
        .route("/console/reviews/batches/{id}/stop", post(batch::stop))
        .route("/console/reviews/views", get(views::views).post(views::save))
        .route("/console/reviews/views/{id}", post(views::rename))
        .route("/console/reviews/views/{id}/remove", post(views::remove))
        .route("/console/reviews/{id}", get(review::review))
        .route("/console/reviews/{id}/claim", post(decide::claim).get(decide::there))
        .route("/console/reviews/{id}/release", post(decide::release).get(decide::there))
        .route("/console/reviews/{id}/escalate", post(decide::escalate).get(decide::there))
        .route("/console/reviews/{id}/undo", post(decide::undo).get(decide::there))
        .route("/console/reviews/{id}/snooze", post(decide::snooze).get(decide::there))
        .route("/console/reviews/{id}/wake", post(decide::wake).get(decide::there))
        .route("/console/reviews/{id}/note", post(decide::note).get(decide::there))
        .route("/console/reviews/{id}/reveal", post(decide::reveal).get(decide::there))
        .route("/console/reviews/{id}/draft", post(decide::draft).get(decide::there))
        .route("/console/reviews/{id}/decide", post(decide::decide).get(decide::there))
        .route("/console/overview", get(overview::overview))
        .route("/console/requests", get(requests::requests))
        .route("/console/requests/words", get(words::words))
        .route("/console/requests/{id}", get(request::request))
        .route("/console/requests/{id}/record.json", get(request::export))
        .route("/console/requests/{id}/withdraw", post(request::withdraw))
        .route("/console/requests/{id}/retry", post(request::retry))
        .route("/console/requests/{id}/review", post(request::to_review))
        .route("/console/requests/{id}/note", post(request::note))
        .route("/console/defects", get(defects::defects))
        .route("/console/defects/{id}", get(defects::defect))
        .route("/console/defects/{id}/resume", post(defects::resume))
        .route("/console/dependencies", get(dependencies::dependencies))
        .route("/console/dependencies/{name}/{what}", post(dependencies::act))
        .route("/console/workers", get(dependencies::workers))
        .route("/console/processes", get(processes::processes))
        .route("/console/processes/{name}", get(processes::process))
        .route("/console/processes/{name}/clauses", get(versions::clauses))
        .route("/console/processes/{name}/difference", get(versions::difference))
        .route("/console/decisions", get(audit::decisions))
        .route("/console/decisions.csv", get(sheets::csv))
        .route("/console/ledger", get(audit::ledger))
        .route("/console/{*rest}", get(trouble::nowhere).post(trouble::nowhere));
    pages
        .layer(from_fn_with_state(console.clone(), around::around))
        .with_state(console)
        .route("/console/assets/{version}/{name}", get(assets::asset))
        .route("/", get(home::to_console))
}
