//! People with a password.

use async_trait::async_trait;

use super::MemoryStore;
use crate::domain::time::Time;
use crate::engine::ports::sessions::SessionRow;
use crate::engine::ports::store::StoreError;
use crate::engine::ports::users::{Tries, UserRow, Users};
use crate::store::batch::plain;

#[async_trait]
impl Users for MemoryStore {
    async fn add_user(&self, user: &UserRow) -> Result<bool, StoreError> {
        plain(&user.person.name)?;
        let mut state = self.lock().0;
        if state.users.contains_key(&user.person.name) {
            return Ok(false);
        }
        let row = UserRow { version: 1, changed_at: user.created_at, signed_in_at: None, ..user.clone() };
        state.users.insert(user.person.name.clone(), row);
        Ok(true)
    }

    async fn user(&self, name: &str) -> Result<UserRow, StoreError> {
        self.lock().0.users.get(name).cloned().ok_or(StoreError::NotFound("the user"))
    }

    async fn users(&self, limit: usize) -> Result<Vec<UserRow>, StoreError> {
        Ok(self.lock().0.users.values().take(limit).cloned().collect())
    }

    async fn change_user(&self, user: &UserRow) -> Result<bool, StoreError> {
        let mut state = self.lock().0;
        let Some(row) = state.users.get_mut(&user.person.name).filter(|row| row.version == user.version) else {
            return Ok(false);
        };
        row.person = user.person.clone();
        row.password.clone_from(&user.password);
        row.changed_at = user.changed_at;
        row.version += 1;
        state.end_sessions_of(&user.person.name, user.changed_at);
        Ok(true)
    }

    async fn remove_user(&self, name: &str, at: Time) -> Result<bool, StoreError> {
        let mut state = self.lock().0;
        if state.users.remove(name).is_none() {
            return Ok(false);
        }
        state.end_sessions_of(name, at);
        Ok(true)
    }

    async fn enter(&self, version: i64, session: &SessionRow) -> Result<bool, StoreError> {
        let mut state = self.lock().0;
        let Some(row) = state.users.get_mut(&session.person.name).filter(|row| row.version == version) else {
            return Ok(false);
        };
        row.signed_in_at = Some(session.created_at);
        state.sessions.insert(session.sha256, session.clone());
        Ok(true)
    }

    async fn tries(&self, bucket: u16) -> Result<Option<Tries>, StoreError> {
        Ok(self.lock().0.tries.get(&bucket).copied())
    }

    async fn count_try(&self, bucket: u16, seen: Option<Tries>, now: Tries) -> Result<bool, StoreError> {
        let mut state = self.lock().0;
        if state.tries.get(&bucket).copied() != seen {
            return Ok(false);
        }
        state.tries.insert(bucket, now);
        Ok(true)
    }

    async fn forget_tries(&self, bucket: u16) -> Result<(), StoreError> {
        self.lock().0.tries.remove(&bucket);
        Ok(())
    }
}
