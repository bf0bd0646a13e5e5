//! All texts of the pages, in both languages side by side. A text that lacks a language does not compile, and no template
//! holds a text of its own (the tests below look).
//!
//! `{}` stands for what is put in by [`put`], in order.

mod acts;
mod operate;
mod review;
mod words;

pub(super) use acts::{Enter, Help, Told, Trouble};
pub(super) use operate::{Decisions, Defects, Dependencies, Ledger, Overview, Processes, Versions, Workers};
pub(super) use review::{Inbox, Refusals, Review, Together, Views, Why};
pub(super) use words::{Common, Kinds, Nav, Requests};

/// Declares one group of texts: a struct, and one of it per language.
macro_rules! texts {
    ($name:ident { $($key:ident: $en:literal, $zh:literal;)+ }) => {
        /// Texts.
        #[derive(Debug)]
        #[allow(clippy::struct_field_names, reason = "texts are named by what they say")]
        pub(in crate::console) struct $name {
            $(pub(in crate::console) $key: &'static str,)+
        }

        impl $name {
            pub(in crate::console::text) const EN: $name = $name { $($key: $en,)+ };
            pub(in crate::console::text) const ZH: $name = $name { $($key: $zh,)+ };
            #[cfg(test)]
            pub(in crate::console::text) const ALL: &'static [(&'static str, &'static str, &'static str)] =
                &[$((stringify!($key), $en, $zh),)+];
        }
    };
}
pub(in crate::console::text) use texts;

/// Declares all groups.
macro_rules! groups {
    ($($field:ident: $name:ident;)+) => {
        /// All texts in one language.
        #[derive(Debug)]
        pub(super) struct Texts {
            $(pub(super) $field: $name,)+
        }

        /// English.
        pub(super) static EN: Texts = Texts { $($field: $name::EN,)+ };
        /// 简体中文.
        pub(super) static ZH: Texts = Texts { $($field: $name::ZH,)+ };

        #[cfg(test)]
        const ALL: &[(&str, &[(&str, &str, &str)])] = &[$((stringify!($field), $name::ALL),)+];
    };
}

groups! {
    common: Common;
    nav: Nav;
    kinds: Kinds;
    requests: Requests;
    enter: Enter;
    help: Help;
    told: Told;
    trouble: Trouble;
    inbox: Inbox;
    review: Review;
    refusals: Refusals;
    why: Why;
    together: Together;
    views: Views;
    overview: Overview;
    defects: Defects;
    dependencies: Dependencies;
    workers: Workers;
    processes: Processes;
    versions: Versions;
    decisions: Decisions;
    ledger: Ledger;
}

/// Puts values into the `{}` of a text, in order.
pub(super) fn put(text: &str, values: &[&str]) -> String {
    let mut parts = text.split("{}");
    let mut made = parts.next().unwrap_or_default().to_owned();
    for (at, part) in parts.enumerate() {
        made.push_str(values.get(at).copied().unwrap_or_default());
        made.push_str(part);
    }
    made
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::fs;

    use regex::Regex;

    use super::*;

    #[test]
    fn values_are_put_in_in_order() {
        assert_eq!(put("{} of {}", &["1", "2"]), "1 of 2");
        assert_eq!(put("{} of {}", &["1"]), "1 of ");
        assert_eq!(put("none", &["1"]), "none");
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let han = Regex::new(r"\p{Han}").unwrap();
        for (group, texts) in ALL {
            for (key, en, zh) in *texts {
                assert!(!en.is_empty() && !zh.is_empty(), "{group}.{key}");
                assert_eq!(en.matches("{}").count(), zh.matches("{}").count(), "{group}.{key}");
                assert!(!han.is_match(en) || *key == "chinese", "{group}.{key}: {en}");
                let same_anywhere = en == zh && !en.chars().any(char::is_whitespace);
                let signs_alone = !en.chars().any(char::is_alphabetic);
                assert!(han.is_match(zh) || same_anywhere || signs_alone, "{group}.{key} is not translated: {zh}");
            }
        }
    }

    #[test]
    fn no_template_holds_a_text_of_its_own() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/templates");
        let code = Regex::new(r"(?s)\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}").unwrap();
        let silent = Regex::new(r"(?s)<!--.*?-->|<(kbd|code)[^>]*>[^<]*</(kbd|code)>").unwrap();
        let tag = Regex::new(r"(?s)<[^>]*>").unwrap();
        let spoken = Regex::new(r#"\b(?:title|alt|placeholder|aria-label)="([^"]*)""#).unwrap();
        let letters = Regex::new(r"\p{L}{2,}").unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            let text = code.replace_all(&text, "").replace("&nbsp;", " ").replace("<!doctype html>", "");
            for said in spoken.captures_iter(&text).filter(|said| letters.is_match(&said[1])) {
                found.push(format!("{name}: {}", &said[0]));
            }
            let text = silent.replace_all(&text, "").into_owned();
            let bare = tag.replace_all(&text, "");
            found.extend(letters.find_iter(&bare).map(|word| format!("{name}: {}", word.as_str())));
        }
        assert!(found.is_empty(), "texts belong into src/console/text: {found:#?}");
    }
}
