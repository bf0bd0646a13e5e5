//! Links, sessions and looks.

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryStore, State};
use crate::domain::time::Time;
use crate::engine::ports::sessions::{LinkRow, LookFilter, LookRow, Person, SessionRow, Sessions};
use crate::engine::ports::store::StoreError;
use crate::store::batch::plain;

fn good(link: &LinkRow, at: Time) -> bool {
    link.used_at.is_none() && link.revoked_at.is_none() && link.expires_at > at
}

impl State {
    /// How many sessions and unused links were good until then.
    pub(super) fn end_sessions_of(&mut self, name: &str, at: Time) -> u64 {
        let mut ended = 0;
        for row in self.links.values_mut().filter(|row| row.person.name == name && good(row, at)) {
            row.revoked_at = Some(at);
            ended += 1;
        }
        let live = |row: &&mut SessionRow| row.person.name == name && row.ended_at.is_none() && row.expires_at > at;
        let all = self.sessions.values().filter(|row| row.person.name == name && row.expires_at > at);
        self.revoked.extend(all.map(|row| row.sha256));
        for row in self.sessions.values_mut().filter(live) {
            row.ended_at = Some(at);
            ended += 1;
        }
        ended
    }

    /// At most `limit` rows of each table.
    pub(super) fn sweep_sessions(&mut self, before: Time, limit: usize) -> u64 {
        let links: Vec<_> = self.links.values().filter(|row| row.expires_at < before).map(|row| row.sha256).take(limit).collect();
        let gone = self.sessions.values().filter(|row| row.expires_at < before).map(|row| row.sha256);
        let sessions: Vec<_> = gone.take(limit).collect();
        self.links.retain(|sha256, _| !links.contains(sha256));
        self.sessions.retain(|sha256, _| !sessions.contains(sha256));
        self.revoked.retain(|sha256| !sessions.contains(sha256));
        (links.len() + sessions.len()) as u64
    }
}

#[async_trait]
impl Sessions for MemoryStore {
    async fn add_link(&self, link: &LinkRow) -> Result<(), StoreError> {
        plain(&link.person.name)?;
        self.lock().0.links.insert(link.sha256, link.clone());
        Ok(())
    }

    async fn link(&self, sha256: &[u8; 32]) -> Result<LinkRow, StoreError> {
        self.lock().0.links.get(sha256).cloned().ok_or(StoreError::NotFound("the link"))
    }

    async fn redeem(&self, link: &[u8; 32], session: &SessionRow) -> Result<bool, StoreError> {
        plain(&session.person.name)?;
        let mut state = self.lock().0;
        let Some(row) = state.links.get_mut(link).filter(|row| good(row, session.created_at)) else { return Ok(false) };
        row.used_at = Some(session.created_at);
        state.sessions.insert(session.sha256, session.clone());
        Ok(true)
    }

    async fn add_session(&self, session: &SessionRow) -> Result<(), StoreError> {
        plain(&session.person.name)?;
        self.lock().0.sessions.insert(session.sha256, session.clone());
        Ok(())
    }

    async fn session(&self, sha256: &[u8; 32]) -> Result<SessionRow, StoreError> {
        self.lock().0.sessions.get(sha256).cloned().ok_or(StoreError::NotFound("the session"))
    }

    async fn session_seen(&self, sha256: &[u8; 32], at: Time) -> Result<(), StoreError> {
        if let Some(row) = self.lock().0.sessions.get_mut(sha256) {
            row.seen_at = row.seen_at.max(at);
        }
        Ok(())
    }

    async fn end_session(&self, sha256: &[u8; 32], at: Time) -> Result<(), StoreError> {
        if let Some(row) = self.lock().0.sessions.get_mut(sha256) {
            row.ended_at.get_or_insert(at);
        }
        Ok(())
    }

    async fn end_sessions_of(&self, name: &str, at: Time) -> Result<u64, StoreError> {
        Ok(self.lock().0.end_sessions_of(name, at))
    }

    async fn rights_of(&self, name: &str, now: Time) -> Result<Vec<Person>, StoreError> {
        let state = self.lock().0;
        let tokens = state.tokens.values().filter(|row| row.name == name && row.over(now).is_none());
        let tokens = tokens.map(|row| Person {
            name: row.name.clone(),
            roles: row.roles.clone(),
            processes: row.processes.clone(),
            review_roles: row.review_roles.clone(),
        });
        let users = state.users.get(name).map(|row| row.person.clone());
        let good = |row: &&SessionRow| row.person.name == name && row.expires_at > now && !state.revoked.contains(&row.sha256);
        let last = state.sessions.values().filter(good).max_by_key(|row| (row.created_at, std::cmp::Reverse(row.sha256)));
        Ok(tokens.chain(users).chain(last.map(|row| row.person.clone())).collect())
    }

    async fn sessions(&self, limit: usize) -> Result<Vec<SessionRow>, StoreError> {
        let mut rows: Vec<SessionRow> = self.lock().0.sessions.values().cloned().collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.created_at), row.sha256));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn add_look(&self, look: &LookRow) -> Result<(), StoreError> {
        for text in [&look.by, &look.field, &look.reason] {
            plain(text)?;
        }
        self.lock().0.looks.insert(look.id, look.clone());
        Ok(())
    }

    async fn looks(&self, filter: &LookFilter, before: Option<Uuid>, limit: usize) -> Result<Vec<LookRow>, StoreError> {
        let state = self.lock().0;
        let rows = state.looks.values().rev().filter(|row| before.is_none_or(|before| row.id < before));
        let rows = rows.filter(|row| filter.by.as_ref().is_none_or(|by| *by == row.by));
        let rows = rows.filter(|row| filter.request.is_none_or(|request| request == row.request));
        Ok(rows.take(limit).cloned().collect())
    }

    async fn sweep_sessions(&self, before: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().0.sweep_sessions(before, limit))
    }
}
