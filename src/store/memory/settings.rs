//! Processes, tokens, settings, and sweeping what is past its window.

use std::sync::Arc;

use uuid::Uuid;

use super::State;
use crate::domain::time::Time;
use crate::engine::ports::records::{ProcessRow, Retention, TokenRow, Version};
use crate::engine::ports::store::StoreError;
use crate::store::{batch, rules};

impl State {
    pub(super) fn publish_process(&mut self, row: &ProcessRow) -> Result<String, StoreError> {
        batch::plain(&row.source)?;
        let first = self.processes.entry((row.name.clone(), row.version)).or_insert_with(|| row.clone());
        Ok(first.digest.clone())
    }

    pub(super) fn list_processes(&self, limit: usize) -> Vec<Version> {
        let version = |row: &ProcessRow| Version { name: row.name.clone(), version: row.version, digest: row.digest.clone() };
        self.processes.values().take(limit).map(version).collect()
    }

    pub(super) fn add_token(&mut self, token: &TokenRow) -> Result<(), StoreError> {
        batch::plain(&token.name)?;
        if self.tokens.values().any(|old| old.name == token.name || old.sha256 == token.sha256) {
            return Err(StoreError::Data(format!("a token named {} exists already", token.name)));
        }
        self.tokens.insert(token.name.clone(), token.clone());
        Ok(())
    }

    pub(super) fn token(&self, sha256: &[u8; 32]) -> Result<TokenRow, StoreError> {
        self.tokens.values().find(|token| token.sha256 == *sha256).cloned().ok_or(StoreError::NotFound("the token"))
    }

    /// A token that was revoked before keeps its first date.
    pub(super) fn revoke_token(&mut self, name: &str, at: Time) -> bool {
        let Some(token) = self.tokens.get_mut(name) else { return false };
        token.revoked_at.get_or_insert(at);
        true
    }

    pub(super) fn setting(&mut self, name: &str, fresh: &[u8]) -> Vec<u8> {
        self.settings.entry(name.to_owned()).or_insert_with(|| fresh.to_vec()).clone()
    }

    /// At most `limit` rows of each kind.
    pub(super) fn sweep(&mut self, now: Time, keep: &Retention, limit: usize) -> u64 {
        let mut removed = 0;
        let old: Vec<_> =
            self.inbox.iter().filter(|(_, key)| key.at < now.minus(keep.inbox)).map(|(key, _)| key.clone()).collect();
        for key in old.into_iter().take(limit) {
            removed += u64::from(self.inbox.remove(&key).is_some());
        }
        let old: Vec<_> = self.limits.iter().filter(|(_, count)| count.until < now).map(|(key, _)| key.clone()).collect();
        for key in old.into_iter().take(limit) {
            removed += u64::from(self.limits.remove(&key).is_some());
        }
        let before = now.minus(keep.signals);
        let answered = self.signals.iter().filter(|(_, row)| row.answer.as_ref().is_some_and(|(at, _)| *at < before));
        let old: Vec<Uuid> = answered.map(|(id, _)| *id).take(limit).collect();
        for id in old {
            removed += u64::from(self.forget_signal(id));
        }
        let late = self.signals.iter().filter(|(_, row)| row.answer.is_none() && row.at < before);
        let ended = |request: &Uuid| self.requests.get(request).and_then(|held| held.row.ended_at);
        let late = late.filter(|(_, row)| ended(&row.request).is_some_and(|at| at < before));
        let mut late: Vec<(Time, Uuid)> = late.map(|(id, row)| (row.at, *id)).collect();
        late.sort_unstable();
        for (_, id) in late.into_iter().take(limit) {
            removed += u64::from(self.forget_signal(id));
        }
        let before = now.minus(keep.events);
        let sent = self.outbox.range(..rules::id_at(before)).filter(|(_, out)| out.published && out.event.at < before);
        let old: Vec<Uuid> = sent.map(|(id, _)| *id).take(limit).collect();
        for id in old {
            removed += u64::from(self.outbox.remove(&id).is_some());
        }
        let before = now.minus(keep.raw);
        let kept = self.rejected.range_mut(..rules::id_at(before)).map(|(_, row)| row);
        for row in kept.filter(|row| row.at < before && !row.raw.is_empty()).take(limit) {
            row.raw = Arc::default();
            removed += 1;
        }
        let before = now.minus(keep.rejected);
        let old = self.rejected.range(..rules::id_at(before)).filter(|(_, row)| row.at < before);
        let old: Vec<Uuid> = old.map(|(id, _)| *id).take(limit).collect();
        for id in old {
            removed += u64::from(self.rejected.remove(&id).is_some());
        }
        removed += keep.requests.map_or(0, |window| self.remove_requests(now.minus(window), limit));
        let before = now.minus(keep.sessions);
        removed += self.sweep_ends(before, limit) + self.sweep_presences(now, limit);
        removed + self.sweep_snoozes(before, limit) + self.sweep_batches(before, limit) + self.sweep_sessions(before, limit)
    }

    /// Requests that ended before this time, with everything that belongs to them.
    fn remove_requests(&mut self, before: Time, limit: usize) -> u64 {
        let old = self.requests.range(..rules::id_at(before)).filter(|(_, held)| held.row.ended_at.is_some_and(|at| at < before));
        let old: Vec<Uuid> = old.map(|(id, _)| *id).take(limit).collect();
        self.signals.retain(|_, row| !old.contains(&row.request));
        self.reviews.retain(|_, row| !old.contains(&row.request));
        let removed = old.iter().map(|id| u64::from(self.requests.remove(id).is_some())).sum();
        self.tally("removed", removed);
        removed
    }

    /// True where it was there.
    fn forget_signal(&mut self, id: Uuid) -> bool {
        let Some(row) = self.signals.remove(&id) else { return false };
        if let Some(held) = self.requests.get_mut(&row.request) {
            held.signals.retain(|other| *other != id);
        }
        true
    }
}
