//! What somebody has begun to write and not sent: it goes along with whatever else they do on the page, and comes back with
//! the answer. Nothing of it is stored.
//!
//! The other acts of a review's page are buttons of the decision's own form (`formaction`), so that a browser without scripts
//! posts the draft with each of them. The version that was on the screen stays with the draft: what changed since is told
//! when it is sent, and not slipped under it.

use super::form::Fields;

/// The longest text of a draft that is given back; what may be decided is much shorter.
const MOST: usize = 8_000;
/// The most acts with a text of their own.
const ACTS: usize = 8;
/// The most amended fields.
const MOST_FIELDS: usize = 100;

/// A decision that was not made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) choice: String,
    pub(super) reason: String,
    pub(super) note: String,
    /// New values of fields, by their names.
    pub(super) fields: Vec<(String, String)>,
    /// What was written for other acts, by their names.
    pub(super) said: Vec<(String, String)>,
    /// The review's version that it was written for.
    pub(super) version: Option<u32>,
    /// Why it was not made.
    pub(super) why: String,
    /// What was seen, where it has changed: version, state, holder.
    pub(super) seen: Option<[String; 3]>,
}

impl Draft {
    /// What a form of the page brings along.
    pub(super) fn of(fields: &Fields) -> Draft {
        let bounded = |text: &str| text.chars().take(MOST).collect::<String>();
        let pairs = |prefix: &'static str, most: usize| {
            fields.starting(prefix).take(most).map(|(name, value)| (bounded(name), bounded(value))).collect::<Vec<_>>()
        };
        Draft {
            choice: bounded(fields.one("choice")),
            reason: bounded(fields.one("reason")),
            note: bounded(fields.one("note")),
            fields: pairs("field.", MOST_FIELDS),
            said: pairs("said.", ACTS),
            version: fields.one("version").parse().ok(),
            ..Draft::default()
        }
    }

    /// Nothing was written or chosen.
    pub(super) fn is_empty(&self) -> bool {
        [&self.choice, &self.reason, &self.note].iter().all(|text| text.is_empty())
            && self.fields.iter().chain(&self.said).all(|(_, value)| value.is_empty())
    }

    /// What was written for an act is done, and no draft any more.
    pub(super) fn without(mut self, act: &str) -> Draft {
        self.said.retain(|(known, _)| known != act);
        self
    }

    /// What another form has to carry so that nothing is lost: names and values.
    pub(super) fn carried(&self) -> Vec<(String, String)> {
        let own = [("choice", &self.choice), ("reason", &self.reason), ("note", &self.note)];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.clone()));
        let fields = self.fields.iter().map(|(name, value)| (format!("field.{name}"), value.clone()));
        let said = self.said.iter().map(|(act, text)| (format!("said.{act}"), text.clone()));
        own.chain(fields).chain(said).filter(|(_, value)| !value.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_is_the_same_draft() {
        let draft = Draft::of(&Fields::parse("choice=amend&note=a+b&field.phone=1&field.name=&said.note=hm&version=3&csrf=x"));
        assert!(!draft.is_empty());
        assert_eq!(draft.version, Some(3));
        let carried = draft.carried();
        assert_eq!(
            carried.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["choice", "note", "field.phone", "said.note"]
        );
        assert!(!draft.carried().is_empty() && draft.without("note").said.is_empty());
        assert!(Draft::of(&Fields::parse("version=3&choice=&field.phone=&csrf=x")).is_empty());
        assert_eq!(Draft::of(&Fields::parse(&format!("note={}", "x".repeat(MOST + 1)))).note.len(), MOST);
    }
}
