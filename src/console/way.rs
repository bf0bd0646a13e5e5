//! Where somebody comes from and what they work through: the inbox's tab, its process, and the page of the list. It goes along in
//! addresses and forms, so that a review stands beside its list, the way back leads there, and the next one is of the same process: the
//! one with the least time left that nobody holds, whichever tab they came from.

use super::form::{Fields, encoded};

/// The tabs of the inbox, by their words in addresses.
pub(super) const TABS: [&str; 6] = ["mine", "unassigned", "team", "second", "snoozed", "done"];
/// The longest cursor or name that is carried.
const LONGEST: usize = 200;

/// A list of the inbox. Without a tab it is no list but the process that somebody works through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// One of [`TABS`], or empty.
    pub(super) tab: &'static str,
    process: String,
    cursor: String,
}

impl Way {
    /// From an address or a form.
    pub(super) fn of(fields: &Fields) -> Way {
        let some = |name: &str| fields.one(name).chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>();
        let tab = TABS.into_iter().find(|known| *known == fields.one("tab")).unwrap_or_default();
        // A place in a list is one of that list alone.
        let cursor = if tab.is_empty() { String::new() } else { some("cursor") };
        Way { tab, process: some("process"), cursor }
    }

    /// From a page's own address; nothing where it is none of a review or of their list.
    pub(super) fn of_page(address: &str) -> Way {
        let query = address.split_once('?').filter(|(page, _)| page.starts_with("/console/reviews"));
        query.map(|(_, query)| Way::of(&Fields::parse(query))).unwrap_or_default()
    }

    /// The same list in this tab.
    pub(super) fn in_tab(self, tab: &'static str) -> Way {
        Way { tab, ..self }
    }

    /// The same list from this place on.
    pub(super) fn at(&self, cursor: String) -> Way {
        Way { cursor, ..self.clone() }
    }

    /// The list's first page: the filters alone.
    pub(super) fn begin(&self) -> Way {
        self.at(String::new())
    }

    /// Is it the first page?
    pub(super) fn begins(&self) -> bool {
        self.cursor.is_empty()
    }

    /// The process that is worked through.
    pub(super) fn process(&self) -> Option<&str> {
        Some(self.process.as_str()).filter(|name| !name.is_empty())
    }

    /// Names and values, for a form.
    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        let all = [("tab", self.tab), ("process", self.process.as_str()), ("cursor", self.cursor.as_str())];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// For an address, after this sign; empty where there is nothing to say.
    pub(super) fn query(&self, sign: char) -> String {
        let parts: Vec<String> = self.fields().iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if parts.is_empty() { String::new() } else { format!("{sign}{}", parts.join("&")) }
    }

    /// The process and the place, as the interface is asked for them.
    pub(super) fn asked(&self) -> String {
        Way { tab: "", ..self.clone() }.query('&')
    }

    /// Where the list is.
    pub(super) fn inbox(&self) -> String {
        format!("/console/reviews{}", self.query('?'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_says_what_the_inbox_knows() {
        let way = |text: &str| Way::of(&Fields::parse(text));
        assert_eq!(way("tab=mine&process=a%26b&cursor=x&other=y").inbox(), "/console/reviews?tab=mine&process=a%26b&cursor=x");
        assert_eq!(way("tab=odd&process=a&cursor=x").fields(), [("process", "a")]);
        assert_eq!((way("cursor=x").begins(), way("cursor=x").asked().as_str()), (true, ""));
        assert_eq!((way("").inbox().as_str(), way("").query('&').as_str()), ("/console/reviews", ""));
        assert_eq!(way("tab=mine&process=a&cursor=x").asked(), "&process=a&cursor=x");
        assert_eq!(way("tab=mine&cursor=x").begin(), way("tab=mine"));
        assert_eq!(Way::of_page("/console/reviews/1?tab=mine&process=a%26b"), way("tab=mine&process=a%26b"));
        assert_eq!(Way::of_page("/console/requests?process=a"), Way::default());
        assert_eq!(way(&format!("tab=mine&cursor={}", "x".repeat(900))).query('?').len(), LONGEST + 17);
    }
}
