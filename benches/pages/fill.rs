//! A large database in a few statements: a month of requests, open reviews, a year of decisions.
//!
//! Ledgers and payloads are those of a few requests that the engine really handled, copied: sizes and texts are real, chains are not.

use std::time::Instant;

use anyhow::Context as _;
use mozhao::domain::time::Time;
use mozhao::store::postgres::PostgresStore;
use sqlx::{AssertSqlSafe, PgConnection};

/// Requests in one statement.
const CHUNK: i64 = 100_000;

/// Numbers, times and ids (UUIDv7) of requests: spread evenly over the last thirty days, the newest last.
macro_rules! past {
    () => {
        "(SELECT n, ms * 1000 AS at, (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8'
                || substr(md5(n::TEXT), 1, 15))::UUID AS id,
            CASE WHEN n % 1000 = 999 THEN 'rare' WHEN n % 5 = 4 THEN 'texted' ELSE 'change' END AS process,
            CASE WHEN n % 50 = 0 THEN 'in_review' WHEN n % 200 = 1 THEN 'parked' WHEN n % 1000 = 2 THEN 'waiting'
                WHEN n % 10 = 3 THEN 'refused' ELSE 'done' END AS state
          FROM (SELECT n, begun.ms - 60000 - 2592000000 / $3 * ($3 - n) AS ms
                FROM begun, generate_series($1::BIGINT, $2::BIGINT) AS n) AS numbered) AS past"
    };
}

const REQUESTS: &str = concat!(
    "INSERT INTO requests (id, process, version, customer, producer, message, channel, turn, over_limit, seq, head, state, step, reason, parked,
        review, wake_at, signalled, seen, deaths, person, accepted_at, updated_at, expires_at, ended_at)
     SELECT id, process, CASE process WHEN 'change' THEN 2 ELSE 1 END, 'c-' || n % 100000, CASE WHEN n % 100 = 5 THEN 'call' ELSE 'app' END,
        'filled-' || n, 'web', TRUE, FALSE, 9, sha256(n::TEXT::BYTEA), state, CASE WHEN state IN ('done', 'refused') THEN NULL ELSE 'known' END,
        CASE state WHEN 'in_review' THEN 'unsure' WHEN 'refused' THEN 'gone' WHEN 'parked' THEN 'status' END,
        CASE WHEN state <> 'parked' THEN NULL WHEN n % 400 = 1 THEN 'defect:00000000000000aa' ELSE 'dependency:mail' END,
        CASE state WHEN 'in_review' THEN md5('review' || n)::UUID END,
        CASE WHEN state IN ('done', 'refused') THEN NULL ELSE (extract(epoch FROM now()) * 1000000)::BIGINT + 2592000000000 END,
        0, 0, 0, n % 7 = 3, at, at, at + 5184000000000,
        CASE WHEN state IN ('done', 'refused') THEN at + (n % 977) * 10000 END
     FROM ",
    past!()
);
const PAYLOADS: &str = concat!(
    "INSERT INTO payloads (request, body) SELECT id, convert_to('{\"who\":\"c-' || n % 100000 || '\",\"phone\":\"13900000000\"}', 'UTF8') FROM ",
    past!()
);
/// Of what is open, and of the newest 100,000.
const ENTRIES: &str = concat!(
    "INSERT INTO entries (request, seq, packed) SELECT id, model.seq, model.packed FROM ",
    past!(),
    " JOIN models AS model ON model.state = CASE past.state WHEN 'in_review' THEN 'in_review' WHEN 'refused' THEN 'refused' ELSE 'done' END
      WHERE past.state NOT IN ('done', 'refused') OR n > $3 - 100000"
);
/// The open ones, and one decided for every seventh of the others.
const REVIEWS: &str = concat!(
    "INSERT INTO reviews (id, request, process, process_version, name, slot, customer, options, role, four_eyes, state, version, claimed_by,
        claimed_until, escalated, decision, opened_at, due_at, closed_at, decided_by, first_by)
     SELECT md5('review' || n)::UUID, id, process, 1, 'unsure', 'known', 'c-' || n % 100000, '[\"approve\",\"refuse\",\"ask_customer\",\"amend\"]',
        'identity', FALSE, CASE WHEN open THEN 'open' ELSE 'decided' END, 1, CASE WHEN open AND n % 1000 = 0 THEN 'li' END,
        CASE WHEN open AND n % 1000 = 0 THEN now + 3600000000 END, 0,
        CASE WHEN NOT open THEN convert_to('{\"review\":\"' || md5('review' || n)::UUID || '\",\"choice\":\"approve\",\"by\":\"p-' || n % 40
            || '\",\"note\":\"looked fine\"}', 'UTF8') END,
        at, CASE WHEN open THEN now + (n % 43200 - 7200) * 1000000 ELSE at + 14400000000 END, CASE WHEN NOT open THEN at + 600000000 END,
        CASE WHEN NOT open THEN 'p-' || n % 40 END, CASE WHEN NOT open AND n % 400 = 3 THEN 'q-' || n % 40 END
     FROM (SELECT *, state = 'in_review' AS open, (extract(epoch FROM now()) * 1000000)::BIGINT AS now FROM ",
    past!(),
    ") AS past WHERE open OR n % 7 = 3 AND state IN ('done', 'refused')"
);

/// What there is little of.
const REST: &str = "
    INSERT INTO controls (group_name, state, reason, changed_by, rate, changed_at, version)
        VALUES ('dependency:mail', 'open', 'filled', 'root', 0, mozhao_now(), 1) ON CONFLICT (group_name) DO NOTHING;
    INSERT INTO defects (fingerprint, process, version, slot, connector, class, code, status, pattern, detail, sample, count, first_seen, last_seen)
        SELECT '00000000000000aa', 'change', 2, 'known', 'bank', 'permanent', 'status', 418, 'unexpected status #', 'unexpected status 418', id,
            2500, accepted_at, accepted_at FROM requests WHERE parked = 'defect:00000000000000aa' LIMIT 1;
    INSERT INTO rejected (id, producer, message, channel, process, code, detail, raw, raw_len, raw_sha256, at)
        SELECT gen_random_uuid(), 'app', 'm-' || n, 'web', 'change', 'schema', '/who is required', '{}', 2, sha256('{}'), mozhao_now() - n * 1000000::BIGINT
        FROM generate_series(1, 10000) AS n;
    INSERT INTO outbox (id, request, seq, topic, body, at)
        SELECT id, id, 9, 'request.change.done', convert_to('{\"specversion\":\"1.0\"}', 'UTF8'), accepted_at FROM requests
        WHERE accepted_at > mozhao_now() - 604800000000;
    INSERT INTO looks (id, at, seen_by, request, field, reason)
        SELECT id, accepted_at, 'p-' || row_number() OVER () % 40, id, '/phone', 'the customer is on the phone' FROM requests LIMIT 5000;
    INSERT INTO tallies (worker, name, n) SELECT '00000000-0000-0000-0000-000000000000', state, COUNT(*) FROM requests WHERE ended_at IS NOT NULL GROUP BY state
        ON CONFLICT (worker, name) DO UPDATE SET n = tallies.n + EXCLUDED.n;
    INSERT INTO tallies (worker, name, n) SELECT '00000000-0000-0000-0000-000000000000', 'accepted', COUNT(*) FROM requests
        ON CONFLICT (worker, name) DO UPDATE SET n = tallies.n + EXCLUDED.n;
    DROP TABLE models, begun;";

/// Fills it. The ledgers of the requests that are there already are the models.
pub(crate) async fn fill(database: &mut PgConnection, url: &str, requests: i64) -> anyhow::Result<()> {
    let begun = Instant::now();
    // As they would have been made while it came.
    let month_ago: i64 = sqlx::query_scalar("SELECT mozhao_now() - 31 * 86400000000").fetch_one(&mut *database).await?;
    PostgresStore::open(url).await?.make_months(Time(month_ago), 2).await?;
    let models = "CREATE TABLE models AS SELECT state, entries.seq, packed FROM entries JOIN requests ON requests.id = entries.request
        WHERE requests.id IN (SELECT min(id::TEXT)::UUID FROM requests WHERE state IN ('done', 'refused', 'in_review') AND process = 'change' GROUP BY state)";
    run(database, models).await?;
    // Ids are made of times: every statement must count from the same one.
    run(database, "CREATE TABLE begun AS SELECT (extract(epoch FROM now()) * 1000)::BIGINT AS ms").await?;
    for first in (1..=requests).step_by(usize::try_from(CHUNK)?) {
        let last = (first + CHUNK - 1).min(requests);
        for sql in [REQUESTS, PAYLOADS, ENTRIES, REVIEWS] {
            sqlx::query(sql).bind(first).bind(last).bind(requests).execute(&mut *database).await.context("filling")?;
        }
    }
    run(database, REST).await?;
    // As autovacuum would have done long ago.
    run(database, "VACUUM ANALYZE").await?;
    println!("filled in {} s", begun.elapsed().as_secs());
    Ok(())
}

/// Runs statements.
pub(crate) async fn run(database: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(database)
        .await
        .with_context(|| sql.chars().take(80).collect::<String>())?;
    Ok(())
}
