//! New requests, and messages that never became one.

use uuid::Uuid;

use super::commit::send;
use super::db::Tx;
use super::rows;
use crate::domain::request::chain::Hash;
use crate::domain::time::Time;
use crate::engine::ports::records::{RejectedRow, RequestRow};
use crate::engine::ports::store::{Accept, LimitCount, StoreError, WorkerId, Written};
use crate::faults::bug;
use crate::store::batch::Tally;
use crate::store::rows::int;

const TAKE_KEY: &str = "\
    INSERT INTO inbox (producer, message, body_sha256, request, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (producer, message) DO NOTHING";
const KEY: &str = "SELECT body_sha256, request FROM inbox WHERE producer = ?1 AND message = ?2";
const TAKE_NUMBER: &str = "\
    UPDATE lane_numbers SET last = last + 1
    RETURNING last, NOT EXISTS (SELECT 1 FROM requests r WHERE r.lane = ?1 AND r.ended_at IS NULL) AS turn";
const COUNT: &str = "\
    INSERT INTO limits (key, starts_at, ends_at, n) VALUES (?1, ?2, ?3, 1)
    ON CONFLICT (key, starts_at) DO UPDATE SET n = n + 1 RETURNING n";
const REQUEST: &str = "\
    INSERT INTO requests (id, process, version, customer, producer, message, channel, reply_to, correlation, traceparent, lane, lane_no,
        turn, over_limit, seq, head, state, step, reason, parked, review, owner, wake_at, signalled, seen, deaths, person, accepted_at,
        updated_at, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26,
        ?27, ?28, ?29, ?30)";
const PAYLOAD: &str = "INSERT INTO payloads (request, body) VALUES (?1, ?2)";
/// One entry of a ledger.
pub(super) const ENTRY: &str = "INSERT INTO entries (request, seq, at, body, hash) VALUES (?1, ?2, ?3, ?4, ?5)";
const REJECTED: &str = "\
    INSERT INTO rejected (id, producer, message, channel, process, code, detail, raw, raw_len, raw_sha256, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (producer, message, raw_sha256) WHERE message IS NOT NULL DO NOTHING";

/// Writes a new request, unless its key is taken.
pub(super) async fn accept(tx: &mut Tx<'_>, worker: WorkerId, accept: &Accept, tally: &mut Tally) -> Result<Written, StoreError> {
    let Accept { producer, message, body_sha256, row, .. } = accept;
    if !take_key(tx, producer, message, body_sha256, Some(row.id), row.accepted_at).await? {
        let key = sqlx::query(KEY).bind(producer).bind(message);
        let taken = tx.first(key, |found| Ok((rows::hash(found, "body_sha256")?, sqlx::Row::try_get(found, "request")?))).await?;
        return Ok(match taken {
            Some((hash, Some(request))) if hash == *body_sha256 || bug("body_unread") => Written::Duplicate(request),
            Some((_, request)) => Written::KeyConflict(request),
            None => Written::Lost,
        });
    }
    let mut row = row.clone();
    (row.lane_no, row.turn) = number(tx, row.lane.as_deref()).await?;
    row.over_limit = over_limit(tx, accept.limit.as_ref()).await?;
    if !row.turn {
        (row.owner, row.wake_at) = (None, Some(row.expires_at));
    }
    insert(tx, &row).await?;
    tx.execute(sqlx::query(PAYLOAD).bind(row.id).bind(&accept.payload[..])).await?;
    let first = &accept.first;
    let entry = sqlx::query(ENTRY).bind(row.id).bind(int(first.seq)?).bind(first.at.0);
    tx.execute(entry.bind(&first.body[..]).bind(&first.hash[..])).await?;
    send(tx, worker, &accept.events).await?;
    tally.count("accepted");
    Ok(Written::Accepted { turn: row.turn, over_limit: row.over_limit })
}

/// Records a rejected message unless this very one (producer, message, bytes) was recorded before. Its key is taken from now on,
/// again where it was swept.
pub(super) async fn reject(tx: &mut Tx<'_>, worker: WorkerId, reject: &RejectedRow, tally: &mut Tally) -> Result<(), StoreError> {
    if let Some(message) = &reject.message {
        take_key(tx, &reject.producer, message, &reject.raw_sha256, None, reject.at).await?;
    }
    let row = sqlx::query(REJECTED).bind(reject.id).bind(&reject.producer).bind(&reject.message).bind(&reject.channel);
    let row = row.bind(&reject.process).bind(&reject.code).bind(&reject.detail).bind(&reject.raw[..]);
    let row = row.bind(int(reject.raw_len)?).bind(&reject.raw_sha256[..]).bind(reject.at.0);
    if tx.execute(row).await? == 0 {
        return Ok(());
    }
    send(tx, worker, &reject.events).await?;
    tally.count("rejected");
    Ok(())
}

/// Takes an inbox key; false where it is taken.
async fn take_key(
    tx: &mut Tx<'_>,
    producer: &str,
    message: &str,
    body_sha256: &Hash,
    request: Option<Uuid>,
    at: Time,
) -> Result<bool, StoreError> {
    let key = sqlx::query(TAKE_KEY).bind(producer).bind(message).bind(&body_sha256[..]).bind(request).bind(at.0);
    Ok(tx.execute(key).await? == 1)
}

/// The next number, and whether it is its turn in this lane.
async fn number(tx: &mut Tx<'_>, lane: Option<&str>) -> Result<(Option<u64>, bool), StoreError> {
    let Some(lane) = lane else { return Ok((None, true)) };
    let taken = |row: &_| Ok((rows::number::<u64>(row, "last")?, sqlx::Row::try_get::<bool, _>(row, "turn")?));
    let taken = tx.first(sqlx::query(TAKE_NUMBER).bind(lane), taken).await?;
    let (no, turn) = taken.ok_or_else(|| StoreError::Broken("`lane_numbers` has no row".into()))?;
    Ok((Some(no), turn))
}

/// Counts within the limit's window.
async fn over_limit(tx: &mut Tx<'_>, limit: Option<&LimitCount>) -> Result<bool, StoreError> {
    let Some(limit) = limit else { return Ok(false) };
    let count = sqlx::query(COUNT).bind(&limit.key).bind(limit.window.0).bind(limit.until.0);
    let n = tx.first(count, |row| rows::number::<u64>(row, "n")).await?.unwrap_or_default();
    Ok(n > u64::from(limit.max))
}

async fn insert(tx: &mut Tx<'_>, row: &RequestRow) -> Result<(), StoreError> {
    let query = sqlx::query(REQUEST).bind(row.id).bind(&row.process).bind(row.version).bind(&row.customer).bind(&row.producer);
    let query = query.bind(&row.message).bind(&row.channel).bind(&row.reply_to).bind(&row.correlation).bind(&row.traceparent);
    let query = query.bind(&row.lane).bind(row.lane_no.map(int).transpose()?).bind(row.turn).bind(row.over_limit);
    let query = query.bind(int(row.seq)?).bind(&row.head[..]).bind(&row.state).bind(&row.step).bind(&row.reason);
    let query = query.bind(&row.parked).bind(row.review).bind(row.owner).bind(row.wake_at.map(|at| at.0));
    let query = query.bind(int(row.signalled)?).bind(int(row.seen)?).bind(row.deaths).bind(row.person);
    let query = query.bind(row.accepted_at.0).bind(row.updated_at.0).bind(row.expires_at.0);
    tx.execute(query).await?;
    Ok(())
}
