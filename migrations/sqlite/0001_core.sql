-- Everything of the first version, table for table what PostgreSQL has. Times are microseconds since 1970, ids are 16 bytes,
-- truth values 0 and 1. Tables whose key grows with time are clustered by it (WITHOUT ROWID).

-- One row per living worker (a file has one; a second row is one that did not stop in order).
CREATE TABLE workers (
    id           BLOB NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL
) STRICT;

-- A request's identity and the summary of its ledger. Its payload has a table of its own, so that updates rewrite little.
CREATE TABLE requests (
    id          BLOB NOT NULL PRIMARY KEY,
    process     TEXT NOT NULL,
    version     INTEGER NOT NULL,
    customer    TEXT NOT NULL,
    producer    TEXT NOT NULL,
    message     TEXT NOT NULL,
    channel     TEXT NOT NULL,
    reply_to    TEXT,
    correlation TEXT,
    traceparent TEXT,
    lane        TEXT,
    lane_no     INTEGER,
    turn        INTEGER NOT NULL,
    over_limit  INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    head        BLOB NOT NULL,
    state       TEXT NOT NULL,
    step        TEXT,
    reason      TEXT,
    parked      TEXT,
    review      BLOB,
    owner       BLOB,
    wake_at     INTEGER,
    signalled   INTEGER NOT NULL,
    seen        INTEGER NOT NULL,
    deaths      INTEGER NOT NULL,
    person      INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    CONSTRAINT known_state CHECK (state IN ('queued', 'running', 'waiting', 'parked', 'in_review', 'done', 'refused', 'withdrawn', 'expired')),
    CONSTRAINT ended_with_an_outcome CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'refused', 'withdrawn', 'expired'))),
    CONSTRAINT ended_is_nobodys CHECK (ended_at IS NULL OR (owner IS NULL AND wake_at IS NULL)),
    CONSTRAINT numbered_in_its_lane CHECK ((lane IS NULL) = (lane_no IS NULL) AND (lane IS NOT NULL OR turn)),
    CONSTRAINT waits_for_its_turn CHECK (turn OR state IN ('queued', 'refused', 'withdrawn', 'expired')),
    CONSTRAINT saw_what_was_sent CHECK (seen BETWEEN 0 AND signalled),
    CONSTRAINT has_entries CHECK (seq >= 1 AND length(head) = 32)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_due ON requests (wake_at) WHERE wake_at IS NOT NULL;
-- The few under which workers died.
CREATE INDEX requests_suspects ON requests (wake_at, id) WHERE deaths >= 2;
CREATE INDEX requests_owned ON requests (owner) WHERE owner IS NOT NULL;
CREATE INDEX requests_parked ON requests (parked, id) WHERE parked IS NOT NULL AND ended_at IS NULL;
CREATE UNIQUE INDEX requests_lane ON requests (lane, lane_no) WHERE lane IS NOT NULL AND ended_at IS NULL;
CREATE INDEX requests_open ON requests (state) WHERE ended_at IS NULL;
CREATE INDEX requests_customer ON requests (customer, id);
CREATE INDEX requests_producer ON requests (producer, id);
CREATE INDEX requests_reason ON requests (reason, id) WHERE reason IS NOT NULL;

-- No foreign keys on the tables of the hot path: their rows are written by the statement next to the request's own.
CREATE TABLE payloads (
    request BLOB NOT NULL PRIMARY KEY,
    body    BLOB NOT NULL
) STRICT;

-- The ledger. Rows are only ever inserted.
CREATE TABLE entries (
    request BLOB NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    body    BLOB NOT NULL,
    hash    BLOB NOT NULL,
    PRIMARY KEY (request, seq),
    CONSTRAINT counted_from_one CHECK (seq >= 1 AND length(hash) = 32)
) STRICT, WITHOUT ROWID;

-- Which messages were accepted or rejected; its key decides about duplicates. Its rowid grows with time: what is swept stands first.
CREATE TABLE inbox (
    producer    TEXT NOT NULL,
    message     TEXT NOT NULL,
    body_sha256 BLOB NOT NULL,
    request     BLOB,
    at          INTEGER NOT NULL,
    PRIMARY KEY (producer, message)
) STRICT;

CREATE TABLE rejected (
    id         BLOB NOT NULL PRIMARY KEY,
    producer   TEXT NOT NULL,
    message    TEXT,
    channel    TEXT NOT NULL,
    process    TEXT,
    code       TEXT NOT NULL,
    detail     TEXT NOT NULL,
    raw        BLOB NOT NULL,
    raw_len    INTEGER NOT NULL,
    raw_sha256 BLOB NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
-- Which of them still have their bytes.
CREATE INDEX rejected_raw ON rejected (id) WHERE raw <> x'';
-- The same message rejected twice is one.
CREATE UNIQUE INDEX rejected_once ON rejected (producer, message, raw_sha256) WHERE message IS NOT NULL;

-- `serialize_by`: the last number that a request got in its lane; all lanes count together.
CREATE TABLE lane_numbers (last INTEGER NOT NULL) STRICT;
INSERT INTO lane_numbers VALUES (0);

-- Counts per limit and window.
CREATE TABLE limits (
    key       TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (key, starts_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_end ON limits (ends_at);

-- What comes from outside for a request's owner; `no` counts them per request.
CREATE TABLE signals (
    id          BLOB NOT NULL PRIMARY KEY,
    request     BLOB NOT NULL REFERENCES requests (id),
    no          INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    body        BLOB NOT NULL,
    consumed_at INTEGER,
    answer      TEXT,
    UNIQUE (request, no),
    CONSTRAINT answered_when_consumed CHECK ((consumed_at IS NULL) = (answer IS NULL))
) STRICT;
CREATE INDEX signals_waiting ON signals (at, id) WHERE consumed_at IS NULL;
CREATE INDEX signals_consumed ON signals (consumed_at) WHERE consumed_at IS NOT NULL;

CREATE TABLE reviews (
    id              BLOB NOT NULL PRIMARY KEY,
    request         BLOB NOT NULL REFERENCES requests (id),
    process         TEXT NOT NULL,
    process_version INTEGER NOT NULL,
    name            TEXT NOT NULL,
    slot            TEXT NOT NULL,
    customer        TEXT NOT NULL,
    options         TEXT NOT NULL,
    role            TEXT,
    four_eyes       INTEGER NOT NULL,
    state           TEXT NOT NULL,
    version         INTEGER NOT NULL,
    claimed_by      TEXT,
    claimed_until   INTEGER,
    escalated       INTEGER NOT NULL,
    decision        BLOB,
    opened_at       INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,
    closed_at       INTEGER,
    CONSTRAINT known_state CHECK (state IN ('open', 'deciding', 'decided', 'cancelled')),
    CONSTRAINT closed_with_an_end CHECK ((closed_at IS NOT NULL) = (state IN ('decided', 'cancelled'))),
    CONSTRAINT claimed_for_a_time CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CONSTRAINT claimed_while_open CHECK (claimed_by IS NULL OR state = 'open')
) STRICT;
CREATE INDEX reviews_due ON reviews (due_at, id) WHERE closed_at IS NULL;
CREATE INDEX reviews_all ON reviews (due_at, id);
CREATE INDEX reviews_request ON reviews (request);

-- Events, the newest of them for the feed.
CREATE TABLE outbox (
    id          BLOB NOT NULL PRIMARY KEY,
    request     BLOB,
    seq         INTEGER NOT NULL,
    topic       TEXT NOT NULL,
    body        BLOB NOT NULL,
    reply_to    TEXT,
    correlation TEXT,
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that the broker has not confirmed, by the worker that publishes them.
CREATE TABLE unpublished (
    worker BLOB NOT NULL,
    id     BLOB NOT NULL,
    PRIMARY KEY (worker, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE defects (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    process     TEXT NOT NULL,
    version     INTEGER NOT NULL,
    slot        TEXT NOT NULL,
    connector   TEXT,
    class       TEXT NOT NULL,
    code        TEXT NOT NULL,
    status      INTEGER,
    pattern     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    sample      BLOB NOT NULL,
    count       INTEGER NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL
) STRICT;

-- Breakers, and resumes in progress.
CREATE TABLE controls (
    group_name TEXT NOT NULL PRIMARY KEY,
    state      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    canary     BLOB,
    probe_at   INTEGER,
    rate       INTEGER NOT NULL,
    to_version INTEGER,
    since      INTEGER,
    changed_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    CONSTRAINT known_state CHECK (state IN ('closed', 'open', 'waiting', 'half_open', 'resuming', 'stopped'))
) STRICT;

CREATE TABLE processes (
    name         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    digest       TEXT NOT NULL,
    source       TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE tokens (
    name         TEXT NOT NULL PRIMARY KEY,
    sha256       BLOB NOT NULL UNIQUE,
    roles        TEXT NOT NULL,
    processes    TEXT NOT NULL,
    review_roles TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER
) STRICT;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Counters, one set of rows per worker so that nobody waits for another; those of workers that are gone are folded
-- into the nil worker's.
CREATE TABLE tallies (
    worker BLOB NOT NULL,
    name   TEXT NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (worker, name)
) STRICT, WITHOUT ROWID;
