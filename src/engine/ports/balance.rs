//! Numbers over many requests: do the books add up, where do open requests stand, how did the last ones go?

use crate::domain::time::Time;

/// `accepted = done + refused + withdrawn + expired + open`, from counters on one side and rows on the other, read at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// Ever accepted (counter).
    pub accepted: u64,
    /// Ended so (counter).
    pub done: u64,
    /// Ended so (counter).
    pub refused: u64,
    /// Ended so (counter).
    pub withdrawn: u64,
    /// Ended so (counter).
    pub expired: u64,
    /// Rejected messages (counter).
    pub rejected: u64,
    /// Ended without a person having decided anything (counter).
    pub automated: u64,
    /// Ended and kept no longer (counter).
    pub removed: u64,
    /// Open rows by state.
    pub queued: u64,
    /// Open rows by state.
    pub running: u64,
    /// Open rows by state.
    pub waiting: u64,
    /// Open rows by state.
    pub parked: u64,
    /// Open rows by state.
    pub in_review: u64,
    /// Unpublished events.
    pub unpublished: u64,
    /// Open, not owned, and due for longer than a minute: nobody looks after them.
    pub overdue: u64,
    /// Where the open rows stand, in order.
    pub places: Vec<Counted>,
}

impl Balance {
    /// Adds open rows that stand at one place.
    pub fn add(&mut self, place: Counted) {
        let state = match place.state.as_str() {
            "queued" => &mut self.queued,
            "running" => &mut self.running,
            "waiting" => &mut self.waiting,
            "parked" => &mut self.parked,
            _ => &mut self.in_review,
        };
        *state += place.count;
        self.places.push(place);
    }

    /// Open rows.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.queued + self.running + self.waiting + self.parked + self.in_review
    }

    /// Requests that must be there, with their ledgers.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.accepted.saturating_sub(self.removed)
    }

    /// Ended requests.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.done + self.refused + self.withdrawn + self.expired
    }

    /// Does every accepted request stand in exactly one place?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.accepted == self.ended() + self.open()
    }
}

/// How many open requests stand at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// The process.
    pub process: String,
    /// The state.
    pub state: String,
    /// The parked group.
    pub parked: Option<String>,
    /// The slot.
    pub step: Option<String>,
    /// How many.
    pub count: u64,
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Went {
    /// The process.
    pub process: String,
    /// The state.
    pub state: String,
    /// The reason of its outcome, its review or its being parked.
    pub reason: Option<String>,
    /// A person decided something.
    pub person: bool,
    /// When it was accepted.
    pub accepted_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}
