//! What is played: each story is one request whose life passes places that no other story passes.

/// A story.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    /// Its process and the process's file.
    pub(crate) process: &'static str,
    pub(crate) file: &'static str,
    /// How it ends, whatever happens.
    pub(crate) outcome: &'static str,
    /// Which effects stand then.
    pub(crate) standing: &'static [&'static str],
    /// Where a process of its died before: the one that is disturbed is its heir.
    pub(crate) before: Option<&'static str>,
}

const TRANSFER: &str = include_str!("processes/transfer.yaml");
const SWAP: &str = include_str!("processes/swap.yaml");
const ORDER: &str = include_str!("processes/order.yaml");
const ERRAND: &str = include_str!("processes/errand.yaml");
const BRIEF: &str = include_str!("processes/brief.yaml");

/// All of them, in the order in which they are played.
pub(crate) const STORIES: [Story; 8] = [
    // Three effects, the reply of one of them lost; a callback; the outcome is looked at.
    story("transfer", "transfer", TRANSFER, "done", &["hold", "book", "tell"]),
    // The third effect is refused by its target: the other two are undone.
    story("undone", "swap", SWAP, "refused", &[]),
    // The customer takes it back while it waits: the same, by a signal.
    story("withdrawn", "swap", SWAP, "withdrawn", &[]),
    // A reviewer asks the customer; two decide, one decision held and taken back and held again; a batch decides the rest.
    story("reviewed", "order", ORDER, "done", &["act"]),
    // Parked under a dependency and probed, parked under a defect and moved to a new version; a withdrawal comes too late.
    story("parked", "errand", ERRAND, "done", &["run"]),
    // A message that is no request; a request that expires.
    story("expired", "brief", BRIEF, "expired", &[]),
    // The first worker died between a call and its result; another one takes over and asks a person.
    Story { before: Some("kill 1 after call tell"), ..story("heir", "transfer", TRANSFER, "done", &["hold", "book", "tell"]) },
    // What a worker does every few seconds.
    story("patient", "transfer", TRANSFER, "done", &["hold", "book", "tell"]),
];

const fn story(
    name: &'static str,
    process: &'static str,
    file: &'static str,
    outcome: &'static str,
    standing: &'static [&'static str],
) -> Story {
    Story { name, process, file, outcome, standing, before: None }
}

impl Story {
    /// Its messages: id, and the process that each asks for. What asks for one that is not there is no request.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let bad = (self.name == "expired").then_some(("m0", "nothing"));
        bad.into_iter().chain([("m1", self.process)])
    }

    /// The story of this name.
    pub(crate) fn named(name: &str) -> &'static Story {
        STORIES.iter().find(|story| story.name == name).unwrap_or_else(|| panic!("no story {name}"))
    }
}
