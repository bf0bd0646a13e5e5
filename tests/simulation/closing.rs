//! Closing the books: everything has come to rest, and every ledger is held against what really happened.

use std::collections::BTreeMap;

use mozhao::domain::process::model::{Process, StepKind};
use mozhao::domain::request::chain;
use mozhao::domain::request::fact::{Ending, Fact, Verdict};
use mozhao::domain::request::plan;
use mozhao::domain::request::slot;
use mozhao::domain::request::state::{Mark, State};
use mozhao::domain::words::Choice;
use mozhao::engine::ports::records::{RequestFilter, RequestRow, ReviewFilter};
use mozhao::engine::ports::remote::Remote;
use mozhao::engine::ports::store::Loaded;
use std::time::Duration;

use crate::books::{Books, Facts, is_through, replay};

/// The most rows of a run.
const ALL: usize = 100_000;
/// A verdict may be that much older than `valid_for` when its effect is planned: it is dated by the planning worker's clock.
const SLACK: Duration = Duration::from_secs(1);

/// A request in its lane.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    /// Its number in the lane.
    no: u64,
    /// Its message.
    n: u64,
    /// The commits in which it started and ended.
    started: Option<u64>,
    ended: u64,
}

impl Books {
    /// Checks everything; returns how many requests have ended.
    pub(crate) async fn close(&self, remote: &dyn Remote) -> u64 {
        let balance = self.store.balance().await.unwrap();
        if !balance.holds() || balance.open() > 0 || balance.accepted != self.accepted() as u64 {
            self.trace.violation(format!("G11: {balance:?}, {} accepted", self.accepted()));
        }
        let rows = self.store.requests(&RequestFilter::default(), None, ALL).await.unwrap();
        let mut lanes: BTreeMap<String, Vec<Run>> = BTreeMap::new();
        let mut limits: BTreeMap<(String, String, i64), (usize, usize)> = BTreeMap::new();
        for row in &rows {
            let Some(n) = self.number(row.id) else { continue };
            let loaded = self.store.load(row.id).await.unwrap();
            self.ledger(n, row, &loaded, remote);
            if let (Some(lane), Some(no)) = (&row.lane, row.lane_no) {
                lanes.entry(lane.clone()).or_default().push(self.run_of(row, no, &loaded));
            }
            self.count(row, &mut limits);
        }
        for (lane, mut runs) in lanes {
            runs.sort_unstable();
            for (index, run) in runs.iter().enumerate() {
                let overlaps = runs[..index].iter().any(|earlier| run.started.is_some_and(|started| started < earlier.ended));
                if overlaps {
                    self.trace.violation(format!("m{} G6: started in lane {lane} before its predecessor had ended", run.n));
                }
            }
        }
        for ((process, key, _), (all, over)) in limits {
            let max = self.processes.latest(&process).and_then(|process| process.limit.as_ref().map(|limit| limit.max as usize));
            if max.is_some_and(|max| all - over != all.min(max)) {
                self.trace.violation(format!("limit of {process} for {key}: {over} of {all} were over it"));
            }
        }
        self.events(&rows).await;
        let states = ["open", "deciding"].map(str::to_owned).to_vec();
        let open = self.store.reviews(&ReviewFilter { states, ..ReviewFilter::default() }, None, ALL).await.unwrap();
        for review in open {
            let n = self.number(review.request).unwrap_or_default();
            self.trace.violation(format!("m{n} G2: review {} is {} and its request has ended", review.name, review.state));
        }
        for defect in self.store.defects(&[], ALL).await.unwrap() {
            if matches!(defect.code.as_str(), "state" | "ledger" | "payload" | "data") || defect.detail.contains("panicked") {
                self.trace.violation(format!("a defect of ours: {} at {}: {}", defect.code, defect.slot, defect.detail));
            }
        }
        let confirmed = self.lock().confirmed.clone();
        for n in confirmed.into_iter().filter(|n| self.request(*n).is_none()) {
            self.trace.violation(format!("m{n} G1: confirmed and not accepted"));
        }
        balance.ended()
    }

    fn run_of(&self, row: &RequestRow, no: u64, loaded: &Loaded) -> Run {
        let inner = self.lock();
        let commit = |wanted: &str| {
            let entry = loaded.entries.iter().find(|entry| entry.fact().is_ok_and(|fact| fact.word() == wanted))?;
            inner.entries.get(&(row.id, entry.seq)).map(|(_, commit)| *commit)
        };
        let n = row.message[1..].parse().unwrap_or_default();
        Run { no, n, started: commit("started"), ended: commit("ended").unwrap_or(u64::MAX) }
    }

    fn count(&self, row: &RequestRow, limits: &mut BTreeMap<(String, String, i64), (usize, usize)>) {
        // A second version of a process counts in the same place.
        let Some(process) = self.processes.latest(&row.process) else { return };
        let Some(limit) = &process.limit else { return };
        let length = i64::try_from(limit.within.as_micros()).unwrap();
        let window = row.accepted_at.0.div_euclid(length);
        let counts = limits.entry((row.process.clone(), row.customer.clone(), window)).or_default();
        counts.0 += 1;
        counts.1 += usize::from(row.over_limit);
    }

    async fn events(&self, rows: &[RequestRow]) {
        let events = self.store.events(None, ALL).await.unwrap();
        let outcomes = ["done", "refused", "withdrawn", "expired"];
        for row in rows.iter().filter(|row| row.ended_at.is_some()) {
            let n = self.number(row.id).unwrap_or_default();
            let of: Vec<&str> = events
                .iter()
                .filter(|event| event.request == Some(row.id))
                .filter_map(|event| event.topic.strip_prefix("request.")?.rsplit('.').next())
                .filter(|word| outcomes.contains(word))
                .collect();
            // Events are kept for a week; a run that slept longer has lost none that matter here.
            if of != [row.state.as_str()] {
                self.trace.violation(format!("m{n} G7: ended as {} and told {of:?}", row.state));
            }
        }
        let inner = self.lock();
        for event in events.iter().filter(|event| !inner.arrived.contains(&event.id)) {
            self.trace.violation(format!("G7: {} of {:?} never reached the broker", event.topic, event.request));
        }
    }

    fn ledger(&self, n: u64, row: &RequestRow, loaded: &Loaded, remote: &dyn Remote) {
        let wrong = |what: String| self.trace.violation(format!("m{n} {what}"));
        match chain::verify(row.id, &loaded.entries) {
            Ok(head) if head == row.head && row.seq == loaded.entries.len() as u64 => {}
            other => wrong(format!("G8: its chain does not verify: {other:?}")),
        }
        for entry in &loaded.entries {
            let known = self.lock().entries.get(&(row.id, entry.seq)).map(|(hash, _)| *hash);
            if known != Some(entry.hash) {
                wrong(format!("G8: entry {} is not the one that was committed", entry.seq));
            }
        }
        let mut stale = Vec::new();
        let mut passed: BTreeMap<String, mozhao::domain::time::Time> = BTreeMap::new();
        let process = |state: &State| self.processes.get(&state.accepted.process, state.accepted.version);
        let replayed = replay(row.id, loaded, |state, _, at, fact| match fact {
            Fact::Verdict(verdict) if verdict.verdict == Verdict::Pass => {
                passed.insert(verdict.slot.clone(), at);
            }
            Fact::Intent { slot, deadline, .. } if slot::is_forward(slot) && *state.mark(slot) == Mark::Open => {
                let Some(process) = process(state) else { return };
                // A worker may be frozen between plan and commit; then the deadline keeps the call from being made.
                let Some(effect) = plan::effect(&process, slot) else { return };
                let timeout = effect.call.timeout.unwrap_or_else(|| remote.timeout(&effect.call.connector));
                let planned = deadline.minus(timeout);
                for step in process.steps.iter().take_while(|step| step.name != *slot) {
                    let StepKind::Verify(verify) = &step.kind else { continue };
                    let by_rule = matches!(state.mark(&step.name), Mark::Passed { by_person: false, .. });
                    let old = passed.get(&step.name).map_or(Duration::ZERO, |passed| planned.since(*passed));
                    if by_rule && verify.valid_for.is_some_and(|valid| old > valid + SLACK) {
                        stale.push(format!("{slot} is planned on a verdict of {} that is {old:?} old", step.name));
                    }
                }
            }
            _ => {}
        });
        stale.into_iter().for_each(&wrong);
        let (state, facts) = match replayed {
            Ok(replayed) => replayed,
            Err(error) => return wrong(format!("G8: its ledger cannot be replayed: {error}")),
        };
        let ended = facts.iter().filter(|(_, _, fact)| matches!(fact, Fact::Ended { .. })).count();
        let Some(ending) = state.ending() else {
            return wrong(format!("G2: it has not ended: {} at {:?}, parked {:?}", row.state, row.step, row.parked));
        };
        if ended != 1 || ending.outcome() != row.state {
            wrong(format!("G2: ended {ended} times, as {} and {}", ending.outcome(), row.state));
        }
        let Some(process) = process(&state) else { return wrong("its process is not known".to_owned()) };
        self.effects(n, &process, &state, ending, &facts, remote);
        self.verdicts(n, &process, &facts);
        self.decisions(n, &facts);
        if let Some(answer) = self.lock().withdrawals.get(&n)
            && (answer == "applied") != matches!(ending, Ending::Withdrawn { .. })
        {
            wrong(format!("its withdrawal was told `{answer}`, and it ended {}", ending.outcome()));
        }
    }

    fn effects(&self, n: u64, process: &Process, state: &State, ending: &Ending, facts: &Facts, remote: &dyn Remote) {
        let wrong = |what: String| self.trace.violation(format!("m{n} {what}"));
        for step in &process.steps {
            if *ending == Ending::Done && !is_through(state, &step.name) {
                wrong(format!("it is done, and {} is {:?}", step.name, state.mark(&step.name)));
            }
            if !matches!(step.kind, StepKind::Execute(_)) {
                continue;
            }
            let truth = self.bank.effect(n, &step.name);
            let undone = *state.mark(&slot::undo(&step.name)) == Mark::Applied;
            let stands = *state.mark(&step.name) == Mark::Applied && !undone;
            if truth.standing != i32::from(stands) {
                wrong(format!("G3: by its ledger {} stands {}, in truth {}", step.name, i32::from(stands), truth.standing));
            }
            if *ending != Ending::Done && state.touched(&step.name) && !state.undone(&step.name) {
                wrong(format!("G3: it ended {} and {} was not undone", ending.outcome(), step.name));
            }
            for slot in [step.name.clone(), slot::undo(&step.name)] {
                let Some(effect) = plan::effect(process, &slot) else { continue };
                let keyed = effect.idempotent && remote.key_window(&effect.call.connector).is_some();
                if keyed || effect.reconcile.is_some() {
                    continue;
                }
                let asked = reviews_of(facts, &slot);
                let again = facts.iter().filter(|(_, _, fact)| {
                    matches!(fact, Fact::Decided(decided) if asked.contains(&decided.review)
                        && matches!(decided.choice, Choice::Retry | Choice::NotApplied))
                });
                let (most, calls) = (1 + i64::try_from(again.count()).unwrap(), self.bank.open_calls(n, &slot));
                if calls > most {
                    wrong(format!("G4: {slot} may have happened {calls} times; people allowed {most}"));
                }
            }
        }
        if *ending == Ending::Done && !matches!(state.mark(slot::DONE_WHEN), Mark::Passed { .. }) {
            wrong("it is done, and its outcome was not verified".to_owned());
        }
    }

    /// What passed by a rule rests on an answer that kept its contract.
    fn verdicts(&self, n: u64, process: &Process, facts: &Facts) {
        for (seq, _, fact) in facts {
            let calls = |slot: &str| match process.step(slot).map(|step| &step.kind) {
                Some(StepKind::Verify(verify)) => verify.call.is_some(),
                _ => slot == slot::DONE_WHEN && process.done_when.call.is_some(),
            };
            if let Fact::Verdict(verdict) = fact
                && verdict.verdict == Verdict::Pass
                && verdict.evidence_sha256.is_none()
                && calls(&verdict.slot)
            {
                self.trace.violation(format!("m{n} entry {seq}: {} passed without evidence", verdict.slot));
            }
            if let Fact::Verdict(verdict) = fact
                && let (Verdict::Pass, Some(_), Some(sha256)) = (&verdict.verdict, verdict.status, &verdict.evidence_sha256)
                && !self.bank.gave(n, &verdict.slot, sha256)
            {
                self.trace.violation(format!("m{n} entry {seq}: {} passed on an answer that breaks its contract", verdict.slot));
            }
        }
    }

    fn decisions(&self, n: u64, facts: &Facts) {
        for (_, _, fact) in facts {
            let Fact::Decided(decided) = fact else { continue };
            let opened = facts.iter().find_map(|(_, _, fact)| match fact {
                Fact::ReviewOpened(opened) if opened.id == decided.review => Some(opened),
                _ => None,
            });
            let Some(opened) = opened else {
                self.trace.violation(format!("m{n} a review was decided that was never opened"));
                continue;
            };
            if opened.four_eyes && decided.first_by.as_ref().is_none_or(|first| *first == decided.by) {
                self.trace.violation(format!("m{n} four eyes: {} was decided by one person", opened.review));
            }
        }
    }
}

fn reviews_of(facts: &Facts, slot: &str) -> Vec<uuid::Uuid> {
    let opened = facts.iter().filter_map(|(_, _, fact)| match fact {
        Fact::ReviewOpened(opened) if opened.slot == slot => Some(opened.id),
        _ => None,
    });
    opened.collect()
}
