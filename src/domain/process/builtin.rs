//! The reviews that every process has, whether its file names them or not.
//!
//! The engine opens them by itself; a file may override the texts, the time and the role under `reviews`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::{Choice, ReviewSpec, Texts};

/// Nobody knows whether an effect happened.
pub const UNKNOWN_EFFECT: &str = "unknown_effect";
/// The request's time is up and something has been applied, so that it cannot expire.
pub const OVERDUE: &str = "overdue";
/// A colleague put the request to a person; the note says why.
pub const HANDED_OVER: &str = "handed_over";
/// An undo could not be carried out.
pub const UNDO_FAILED: &str = "undo_failed";

/// Their names.
pub const BUILTIN_REVIEWS: [&str; 4] = [UNKNOWN_EFFECT, OVERDUE, HANDED_OVER, UNDO_FAILED];
/// The languages of their texts.
pub const BUILTIN_LANGUAGES: [&str; 2] = ["en", "zh-CN"];

/// How long the reviewer of a built-in review has.
const DUE: Duration = Duration::from_hours(24);

/// The built-in review of this name.
#[must_use]
pub fn builtin_review(name: &str) -> Option<ReviewSpec> {
    let (en, zh) = match name {
        UNKNOWN_EFFECT => (
            "Did this effect happen at the target? Look there before you answer.",
            "该操作在目标系统中是否已生效？请先到目标系统核实再作答。",
        ),
        OVERDUE => {
            ("The request's time is up and it could not be finished. What now?", "该申请已超过办理时限仍未办结，如何处理？")
        }
        HANDED_OVER => (
            "A colleague put this request to a person; the note says why. What now?",
            "同事将该申请转交人工处理，原因见备注。如何处理？",
        ),
        UNDO_FAILED => (
            "An effect could not be reversed by itself. Is it reversed by now, or shall it be tried again?",
            "有一项操作未能自动撤销。现在是否已撤销，或是否需要再试一次？",
        ),
        _ => return None,
    };
    Some(ReviewSpec { question: texts(en, zh), options: builtin_options(name).to_vec(), due: DUE, four_eyes: false, role: None })
}

/// The answers that make sense for a built-in review; an override may offer fewer, not others.
#[must_use]
pub fn builtin_options(name: &str) -> &'static [Choice] {
    match name {
        UNKNOWN_EFFECT => &[Choice::Applied, Choice::NotApplied, Choice::Retry],
        OVERDUE | HANDED_OVER => &[Choice::Retry, Choice::Refuse],
        UNDO_FAILED => &[Choice::Retry, Choice::Applied],
        _ => &[],
    }
}

/// A file's reviews and the built-in ones that it does not override.
pub(super) fn with_builtin(mut reviews: BTreeMap<String, ReviewSpec>) -> BTreeMap<String, ReviewSpec> {
    for name in BUILTIN_REVIEWS {
        if let (false, Some(review)) = (reviews.contains_key(name), builtin_review(name)) {
            reviews.insert(name.to_owned(), review);
        }
    }
    reviews
}

fn texts(en: &str, zh: &str) -> Texts {
    Texts::from([("en".to_owned(), en.to_owned()), ("zh-CN".to_owned(), zh.to_owned())])
}
