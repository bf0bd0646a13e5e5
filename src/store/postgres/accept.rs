//! New requests, and messages that never became one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::commit::Beside;
use super::db::{Tx, fault};
use super::rows;
use crate::domain::request::chain::Hash;
use crate::engine::ports::records::RequestRow;
use crate::engine::ports::store::{Accept, Advance, StoreError, Written};
use crate::faults::bug;
use crate::store::batch::Parts;
use crate::store::rows::int;

/// The unique key decides, and waits for whoever is about to take the same one.
const TAKE_KEYS: &str = "\
    INSERT INTO inbox (producer, message, body_sha256, request, at)
    SELECT unnest($1::TEXT[]), unnest($2::TEXT[]), unnest($3::BYTEA[]), unnest($4::UUID[]), unnest($5::BIGINT[])
    ON CONFLICT (producer, message) DO NOTHING RETURNING producer, message";
const TAKEN: &str = "\
    SELECT i.producer, i.message, i.body_sha256, i.request
    FROM unnest($1::TEXT[], $2::TEXT[]) AS k (producer, message) JOIN inbox i USING (producer, message)
    WHERE i.producer = ANY($1::TEXT[]) AND i.message = ANY($2::TEXT[])";
/// Locks all lanes that this batch may touch, in one order: those of new requests, and those of requests that end or are out of turn.
/// (Out of turn can only be what ends or is queued: only these are looked up.) A lane has no row of its own: two that hash alike wait
/// for each other, and nothing worse.
const LOCK_LANES: &str = "\
    SELECT COUNT(pg_advisory_xact_lock(k.key))
    FROM (
        SELECT DISTINCT hashtextextended(n.lane, 0) AS key
        FROM (
            SELECT unnest($1::TEXT[]) AS lane
            UNION ALL
            SELECT r.lane FROM (SELECT unnest($2::UUID[]) AS id, unnest($3::BOOLEAN[]) AS ended) AS a
            JOIN open_requests r ON r.id = a.id
            WHERE r.id = ANY($2::UUID[]) AND r.lane IS NOT NULL AND (a.ended OR NOT r.turn)) AS n
        ORDER BY key OFFSET 0) AS k";
/// Lanes in which a request is open. A statement of its own: it sees what others committed before they gave the lanes free.
const TAKEN_LANES: &str = "\
    SELECT new.lane FROM unnest($1::TEXT[]) AS new (lane)
    WHERE (SELECT MIN(r.lane_no) FROM open_requests r WHERE r.lane = new.lane AND r.ended_at IS NULL) IS NOT NULL";
const COUNT: &str = "\
    INSERT INTO limits AS l (key, starts_at, ends_at, n)
    SELECT unnest($1::TEXT[]), unnest($2::BIGINT[]), unnest($3::BIGINT[]), unnest($4::BIGINT[])
    ON CONFLICT (key, starts_at) DO UPDATE SET n = l.n + EXCLUDED.n RETURNING key, starts_at, n";
/// Requests with their payloads. Their numbers are taken while their lanes are locked: who comes later has a greater one.
const REQUESTS: &str = "\
    WITH payloads_written AS (INSERT INTO payloads (request, body) SELECT unnest($1::UUID[]), unnest($30::BYTEA[]))
    INSERT INTO open_requests (id, process, version, customer, producer, message, channel, reply_to, correlation, traceparent, lane,
        turn, over_limit, seq, head, state, step, reason, parked, review, owner, wake_at, signalled, seen, deaths, person, accepted_at,
        updated_at, expires_at, lane_no)
    SELECT a.*, CASE WHEN a.lane IS NOT NULL THEN nextval('lane_numbers') END
    FROM (SELECT unnest($1::UUID[]), unnest($2::TEXT[]), unnest($3::BIGINT[]), unnest($4::TEXT[]), unnest($5::TEXT[]), unnest($6::TEXT[]),
        unnest($7::TEXT[]), unnest($8::TEXT[]), unnest($9::TEXT[]), unnest($10::TEXT[]), unnest($11::TEXT[]) AS lane,
        unnest($12::BOOLEAN[]), unnest($13::BOOLEAN[]), unnest($14::BIGINT[]), unnest($15::BYTEA[]), unnest($16::TEXT[]),
        unnest($17::TEXT[]), unnest($18::TEXT[]), unnest($19::TEXT[]), unnest($20::UUID[]), unnest($21::UUID[]),
        unnest($22::BIGINT[]), unnest($23::BIGINT[]), unnest($24::BIGINT[]), unnest($25::BIGINT[]), unnest($26::BOOLEAN[]),
        unnest($27::BIGINT[]), unnest($28::BIGINT[]), unnest($29::BIGINT[])) AS a";
const REJECTED: &str = "\
    INSERT INTO rejected (id, producer, message, channel, process, code, detail, raw, raw_len, raw_sha256, at)
    SELECT * FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BYTEA[], $9::BIGINT[],
        $10::BYTEA[], $11::BIGINT[])
    ON CONFLICT (producer, message, raw_sha256) WHERE message IS NOT NULL DO NOTHING RETURNING id";

type Key<'a> = (&'a str, &'a str);
/// Who has a key: the body's hash, the request, and its place in this batch where that is where it comes from.
type Holder = (Hash, Option<Uuid>, Option<usize>);
/// A new request's row, and what only the store can know of it.
struct Placed<'a> {
    row: &'a RequestRow,
    turn: bool,
    over_limit: bool,
}

/// Lanes in which a request is open: whose turn it is, is known.
type Taken = HashSet<String>;

/// Takes the batch's inbox keys, in their order; answers the duplicates and returns what is new.
pub(super) async fn keys<'a>(tx: &mut Tx<'_>, parts: &mut Parts<'a>) -> Result<Vec<(usize, &'a Accept)>, StoreError> {
    // The first request of a key wins inside the batch; rejections take what is left.
    let mut wanted: BTreeMap<Key<'a>, (&'a Hash, Option<Uuid>, i64, usize)> = BTreeMap::new();
    for (place, accept) in &parts.accepts {
        let value = (&accept.body_sha256, Some(accept.row.id), accept.row.accepted_at.0, *place);
        wanted.entry((&accept.producer, &accept.message)).or_insert(value);
    }
    for (place, reject) in &parts.rejects {
        let Some(message) = &reject.message else { continue };
        wanted.entry((&reject.producer, message)).or_insert((&reject.raw_sha256, None, reject.at.0, *place));
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let query = sqlx::query(TAKE_KEYS)
        .bind(wanted.keys().map(|(producer, _)| *producer).collect::<Vec<_>>())
        .bind(wanted.keys().map(|(_, message)| *message).collect::<Vec<_>>())
        .bind(wanted.values().map(|(hash, ..)| &hash[..]).collect::<Vec<_>>())
        .bind(wanted.values().map(|(_, request, ..)| *request).collect::<Vec<_>>())
        .bind(wanted.values().map(|(_, _, at, _)| *at).collect::<Vec<_>>());
    let key = |row: &PgRow| -> Result<(String, String), sqlx::Error> { Ok((row.try_get("producer")?, row.try_get("message")?)) };
    let taken = tx.rows(query).await?;
    // Mostly all of them are new: there is nothing to look up then.
    let mut lost: BTreeSet<Key<'_>> = BTreeSet::new();
    let mut before: HashMap<(String, String), Holder> = HashMap::new();
    if taken.len() < wanted.len() {
        let won = taken.iter().map(key).collect::<Result<HashSet<_>, _>>().map_err(|error| fault(&error))?;
        lost.extend(wanted.keys().filter(|(producer, message)| !won.contains(&((*producer).to_owned(), (*message).to_owned()))));
        let (producers, messages): (Vec<&str>, Vec<&str>) = lost.iter().copied().unzip();
        let held = |row: &PgRow| Ok((key(row)?, (rows::hash(row, "body_sha256")?, row.try_get("request")?, None)));
        before.extend(tx.read(sqlx::query(TAKEN).bind(producers).bind(messages), held).await?);
    }
    let holder = |accept: &'a Accept| -> Option<Holder> {
        let key = (accept.producer.as_str(), accept.message.as_str());
        if lost.contains(&key) {
            return before.get(&(accept.producer.clone(), accept.message.clone())).copied();
        }
        wanted.get(&key).map(|(hash, request, _, place)| (**hash, *request, Some(*place)))
    };
    let mut new = Vec::new();
    for (place, accept) in &parts.accepts {
        match holder(accept) {
            Some((.., Some(winner))) if winner == *place => new.push((*place, *accept)),
            Some((hash, Some(request), _)) if hash == accept.body_sha256 || bug("body_unread") => {
                parts.answers[*place] = Written::Duplicate(request);
            }
            Some((_, request, _)) => parts.answers[*place] = Written::KeyConflict(request),
            // Swept between the two statements: the sender will try again.
            None => return Err(StoreError::Transient("an inbox key was removed just now".into())),
        }
    }
    Ok(new)
}

/// Locks the lanes, and looks which of the new requests' ones are taken.
pub(super) async fn lanes(tx: &mut Tx<'_>, new: &[(usize, &Accept)], parts: &Parts<'_>) -> Result<Taken, StoreError> {
    let names: BTreeSet<&str> = new.iter().filter_map(|(_, accept)| accept.row.lane.as_deref()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let all = parts.advances.iter().map(|(_, advance)| *advance);
    // Who does anything else has its turn (the table's constraint `waits_for_its_turn`) and keeps its place in the lane.
    let leaving: Vec<&Advance> =
        all.filter(|advance| advance.summary.ended_at.is_some() || advance.summary.state == "queued").collect();
    if names.is_empty() && leaving.is_empty() {
        return Ok(Taken::new());
    }
    let query = sqlx::query(LOCK_LANES)
        .bind(&names)
        .bind(leaving.iter().map(|advance| advance.request).collect::<Vec<_>>())
        .bind(leaving.iter().map(|advance| advance.summary.ended_at.is_some()).collect::<Vec<_>>());
    tx.execute(query).await?;
    if names.is_empty() {
        return Ok(Taken::new());
    }
    Ok(tx.read(sqlx::query(TAKEN_LANES).bind(names), |row| row.try_get("lane")).await?.into_iter().collect())
}

/// Writes the new requests and answers for them.
pub(super) async fn requests<'a>(
    tx: &mut Tx<'_>,
    new: Vec<(usize, &'a Accept)>,
    mut taken: Taken,
    parts: &mut Parts<'a>,
    beside: &mut Beside<'a>,
) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let over = over_limits(tx, &new).await?;
    let mut rows: Vec<Placed<'_>> = Vec::with_capacity(new.len());
    for ((place, accept), over_limit) in new.iter().zip(over) {
        let row = &accept.row;
        // The first of a free lane; the others wait for it.
        let turn = row.lane.as_ref().is_none_or(|lane| taken.insert(lane.clone()));
        parts.answers[*place] = Written::Accepted { turn, over_limit };
        beside.entries.push((row.id, std::slice::from_ref(&accept.first)));
        beside.events.extend(&accept.events);
        beside.tally.count("accepted");
        rows.push(Placed { row, turn, over_limit });
    }
    insert(tx, &rows, new.iter().map(|(_, accept)| &accept.payload[..]).collect()).await
}

/// Counts within the limits' windows: for each new request, whether it is over its own.
async fn over_limits(tx: &mut Tx<'_>, new: &[(usize, &Accept)]) -> Result<Vec<bool>, StoreError> {
    let limits = || new.iter().map(|(_, accept)| accept.limit.as_ref());
    let mut counts: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
    for limit in limits().flatten() {
        counts.entry((&limit.key, limit.window.0)).or_insert((limit.until.0, 0)).1 += 1;
    }
    if counts.is_empty() {
        return Ok(vec![false; new.len()]);
    }
    let query = sqlx::query(COUNT)
        .bind(counts.keys().map(|(key, _)| *key).collect::<Vec<_>>())
        .bind(counts.keys().map(|(_, window)| *window).collect::<Vec<_>>())
        .bind(counts.values().map(|(until, _)| *until).collect::<Vec<_>>())
        .bind(counts.values().map(|(_, n)| *n).collect::<Vec<_>>());
    let count = |row: &_| {
        let row: &sqlx::postgres::PgRow = row;
        Ok(((row.try_get::<String, _>("key")?, row.try_get::<i64, _>("starts_at")?), row.try_get::<i64, _>("n")?))
    };
    let mut totals: HashMap<(String, i64), i64> = tx.read(query, count).await?.into_iter().collect();
    // Back to what each counted before this batch, then one by one in its order.
    for ((key, window), (_, n)) in &counts {
        totals.entry(((*key).to_owned(), *window)).and_modify(|total| *total -= n);
    }
    let mut over = |limit: &crate::engine::ports::store::LimitCount| {
        let total = totals.entry((limit.key.clone(), limit.window.0)).or_default();
        *total += 1;
        *total > i64::from(limit.max)
    };
    Ok(limits().map(|limit| limit.is_some_and(&mut over)).collect())
}

async fn insert(tx: &mut Tx<'_>, placed: &[Placed<'_>], payloads: Vec<&[u8]>) -> Result<(), StoreError> {
    let all = || placed.iter().map(|placed| placed.row);
    // Whose turn has not come is nobody's, until it comes or expires.
    let owners = placed.iter().map(|placed| placed.row.owner.filter(|_| placed.turn));
    let wakes = placed.iter().map(|placed| if placed.turn { placed.row.wake_at } else { Some(placed.row.expires_at) });
    let seqs = all().map(|row| int(row.seq)).collect::<Result<Vec<_>, _>>()?;
    let signalled = all().map(|row| int(row.signalled)).collect::<Result<Vec<_>, _>>()?;
    let seen = all().map(|row| int(row.seen)).collect::<Result<Vec<_>, _>>()?;
    let query = sqlx::query(REQUESTS)
        .bind(all().map(|row| row.id).collect::<Vec<_>>())
        .bind(all().map(|row| row.process.as_str()).collect::<Vec<_>>())
        .bind(all().map(|row| i64::from(row.version)).collect::<Vec<_>>())
        .bind(all().map(|row| row.customer.as_str()).collect::<Vec<_>>())
        .bind(all().map(|row| row.producer.as_str()).collect::<Vec<_>>())
        .bind(all().map(|row| row.message.as_str()).collect::<Vec<_>>())
        .bind(all().map(|row| row.channel.as_str()).collect::<Vec<_>>())
        .bind(all().map(|row| row.reply_to.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|row| row.correlation.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|row| row.traceparent.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|row| row.lane.as_deref()).collect::<Vec<_>>())
        .bind(placed.iter().map(|placed| placed.turn).collect::<Vec<_>>())
        .bind(placed.iter().map(|placed| placed.over_limit).collect::<Vec<_>>())
        .bind(seqs)
        .bind(all().map(|row| &row.head[..]).collect::<Vec<_>>())
        .bind(all().map(|row| row.state.as_str()).collect::<Vec<_>>())
        .bind(all().map(|row| row.step.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|row| row.reason.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|row| row.parked.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|row| row.review).collect::<Vec<_>>())
        .bind(owners.collect::<Vec<_>>())
        .bind(wakes.map(|at| at.map(|at| at.0)).collect::<Vec<_>>())
        .bind(signalled)
        .bind(seen)
        .bind(all().map(|row| i64::from(row.deaths)).collect::<Vec<_>>())
        .bind(all().map(|row| row.person).collect::<Vec<_>>())
        .bind(all().map(|row| row.accepted_at.0).collect::<Vec<_>>())
        .bind(all().map(|row| row.updated_at.0).collect::<Vec<_>>())
        .bind(all().map(|row| row.expires_at.0).collect::<Vec<_>>())
        .bind(payloads);
    tx.execute(query).await?;
    Ok(())
}

/// Records rejected messages, each (producer, message, bytes) once.
pub(super) async fn rejects<'a>(tx: &mut Tx<'_>, parts: &mut Parts<'a>, beside: &mut Beside<'a>) -> Result<(), StoreError> {
    let all = &parts.rejects;
    if all.is_empty() {
        return Ok(());
    }
    let lengths = all.iter().map(|(_, row)| int(row.raw_len)).collect::<Result<Vec<_>, _>>()?;
    let query = sqlx::query(REJECTED)
        .bind(all.iter().map(|(_, row)| row.id).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| row.producer.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| row.message.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| row.channel.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| row.process.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| row.code.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| row.detail.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| &row.raw[..]).collect::<Vec<_>>())
        .bind(lengths)
        .bind(all.iter().map(|(_, row)| &row.raw_sha256[..]).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, row)| row.at.0).collect::<Vec<_>>());
    let written: HashSet<Uuid> = tx.read(query, |row| row.try_get("id")).await?.into_iter().collect();
    for (place, row) in all {
        parts.answers[*place] = Written::Rejected;
        if written.contains(&row.id) {
            beside.events.extend(&row.events);
            beside.tally.count("rejected");
        }
    }
    Ok(())
}
