//! Known bugs on demand: what the tests would be worth if they caught none.
//!
//! Each promise could be broken by one wrong line. [`BUGS`], [`DATABASE_BUGS`] and [`EDGE_BUGS`] name such lines; a program built with the
//! feature `faults` has them as switches (`MOZHAO_BUG=<name>`), and `tests/simulation/mutants.rs`, `tests/store/mutants.rs` and
//! `tests/chaos/judge.rs` show that a suite catches each of them. Without the
//! feature [`bug`] is always false and leaves no trace in the program; with it a build without debug assertions is an error,
//! so that no release can have it.

#[cfg(all(feature = "faults", not(debug_assertions)))]
compile_error!("the feature `faults` builds known bugs in: it is for tests, never for a release");

/// Are the bugs built in?
pub const BUILT_IN: bool = cfg!(feature = "faults");

/// Bugs of the engine, of its rules, and of the store in memory, with what each breaks: the simulation must catch them.
#[cfg(feature = "faults")]
pub const BUGS: [(&str, &str); 30] = [
    ("ack_before_commit", "a message is acknowledged before it is stored"),
    ("dedupe_off", "the same message twice is two requests"),
    ("conflict_taken", "the same key with another body counts as a repetition"),
    ("dropped_fence", "a worker that was declared dead still commits"),
    ("owner_unchecked", "a step is written whoever owns the request and wherever its head is"),
    ("skipped_intent", "an effect is called before its intent is written"),
    ("late_call", "an effect is called after its deadline and without a fresh heartbeat"),
    ("unknown_commit_is_done", "a commit whose outcome is unknown counts as made"),
    ("timeout_is_failure", "a call without an answer counts as one that came to nothing"),
    ("takeover_is_failure", "an intent without a result counts as nothing done"),
    ("settle_ignored", "a reconciling read that says no is believed at once"),
    ("key_changes", "every attempt has a key of its own"),
    ("window_ignored", "a key is used for longer than its target remembers it"),
    ("undo_skipped", "an undo is recorded and not carried out"),
    ("unguarded_intent", "an intent is written although a signal waits"),
    ("signal_lost", "a release does not look at signals that came meanwhile"),
    ("withdrawal_ignored", "a withdrawal is told `applied` and nothing happens"),
    ("lane_ignored", "requests of one key run side by side"),
    ("limit_off", "a limit is not counted"),
    ("four_eyes_off", "one person decides where two must"),
    ("stale_decision_taken", "a decision about an earlier question counts"),
    ("broken_answer_passes", "an answer that breaks its contract passes"),
    ("outcome_unverified", "a request is done without a look at its outcome"),
    ("marked_unconfirmed", "an event is marked as published without a confirm"),
    ("outcome_told_twice", "an outcome is told by two events"),
    ("payload_told", "an event carries the payload"),
    ("chain_cut", "an entry does not follow from its predecessor"),
    ("counted_twice", "a counter counts an ending twice"),
    ("rescue_off", "nobody takes over from the dead"),
    ("permit_leaked", "an ended request keeps its place in the in-flight limit"),
];

/// Bugs of the databases' statements, with what each breaks: real databases must show them. Those about a lock are PostgreSQL's alone:
/// SQLite has one writer at a time.
#[cfg(feature = "faults")]
pub const DATABASE_BUGS: [(&str, &str); 16] = [
    ("fence_unread", "a batch is written without a look at the worker's row"),
    ("fence_unlocked", "a batch does not wait for whoever is declaring its worker dead"),
    ("guard_unread", "a step is written without a comparison of the request's owner and head"),
    ("signals_unread", "an intent is written although a signal waits"),
    ("head_kept", "the row names an old hash as its ledger's end, so that a cut ledger would pass"),
    ("body_unread", "a key that was used for another body counts as a repetition"),
    ("turn_kept", "the end of a request gives the next one of its key no turn"),
    ("claim_unlocked", "a claim neither passes by what is locked nor locks what it takes"),
    ("events_left", "nobody takes over the events of the dead"),
    ("marked_early", "an event is marked as published when it is handed out, before its confirm"),
    ("control_unread", "of two who change a group, the second overwrites the first"),
    ("review_unlocked", "of two who decide at the same moment, both have"),
    ("taken_back_late", "a held decision is taken back while it is sent"),
    ("other_dropped", "who has sent a held decision drops the one that is held by then"),
    ("item_sent_again", "an item of a batch that was decided is sent again"),
    ("signal_forgotten", "a decision that is stored is told to be stale when it is sent again under its id"),
];

/// Bugs at the edges, towards broker and targets, with what each breaks: scenarios with real servers must show them.
#[cfg(feature = "faults")]
pub const EDGE_BUGS: [(&str, &str); 3] = [
    ("acked_at_delivery", "a message is acknowledged when it is delivered, before anybody has stored it"),
    ("confirm_assumed", "an event without a confirm counts as confirmed"),
    ("break_is_safe", "a connection that broke after the request was written counts as one that was never made"),
];

/// Is this bug switched on? Always false without the feature `faults`.
#[cfg(feature = "faults")]
#[must_use]
pub fn bug(name: &str) -> bool {
    static WANTED: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("MOZHAO_BUG").ok());
    WANTED.as_deref() == Some(name)
}

/// Panics where this message's id ends with what `MOZHAO_PANIC` says; never without the feature `faults`.
///
/// # Panics
/// Where it was asked to.
#[cfg(feature = "faults")]
pub fn panic_at(message: &str) {
    static WANTED: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("MOZHAO_PANIC").ok());
    let asked = WANTED.as_deref().is_some_and(|end| message.ends_with(end));
    assert!(!asked, "a drive was asked to panic");
}

/// Panics where it was asked to; never without the feature `faults`.
#[cfg(not(feature = "faults"))]
pub const fn panic_at(_message: &str) {}

/// Is this bug switched on? Always false without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[must_use]
pub const fn bug(_name: &str) -> bool {
    false
}
