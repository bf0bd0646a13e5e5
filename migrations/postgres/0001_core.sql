-- Everything of the first version. Times are microseconds since 1970 (BIGINT). JSON is bytes (BYTEA): the JSON types
-- refuse some valid JSON. Indexes are few because every accepted request pays for each of them.

-- The one clock that leases, heartbeats and due times are compared with: the transaction's start.
CREATE FUNCTION mozhao_now() RETURNS BIGINT LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (extract(epoch FROM now()) * 1000000)::BIGINT;

-- One row per living worker. Every batch takes FOR KEY SHARE on its own row; deleting the row waits for such
-- batches and then excludes them: that is the fence.
CREATE TABLE workers (
    id           UUID   PRIMARY KEY,
    name         TEXT   NOT NULL,
    version      TEXT   NOT NULL,
    started_at   BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL
) WITH (fillfactor = 50);

-- A request's identity and the summary of its ledger: open ones apart from those that have ended. What the engine looks through is
-- small and in memory, whatever the history; what has ended is written once, and goes by the month (`src/store/postgres/months.rs`).
-- Statements of the engine name `open_requests`, and an end takes the row out there and puts it into `past_requests`; whoever waited for
-- the row finds none and looks among the past ones. (An UPDATE that moved the row would fail them instead.) `requests` is for reading.
CREATE TABLE requests (
    id          UUID    NOT NULL,
    process     TEXT    NOT NULL,
    version     BIGINT  NOT NULL,
    customer    TEXT    NOT NULL,
    producer    TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    channel     TEXT    NOT NULL,
    reply_to    TEXT,
    correlation TEXT,
    traceparent TEXT,
    lane        TEXT,
    lane_no     BIGINT,
    turn        BOOLEAN NOT NULL,
    over_limit  BOOLEAN NOT NULL,
    seq         BIGINT  NOT NULL,
    head        BYTEA   NOT NULL,
    state       TEXT    NOT NULL,
    step        TEXT,
    reason      TEXT,
    parked      TEXT,
    review      UUID,
    owner       UUID,
    wake_at     BIGINT,
    signalled   BIGINT  NOT NULL,
    seen        BIGINT  NOT NULL,
    deaths      BIGINT  NOT NULL,
    person      BOOLEAN NOT NULL,
    accepted_at BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL,
    ended_at    BIGINT,
    CONSTRAINT known_state CHECK (state IN ('queued', 'running', 'waiting', 'parked', 'in_review', 'done', 'refused', 'withdrawn', 'expired')),
    CONSTRAINT ended_with_an_outcome CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'refused', 'withdrawn', 'expired'))),
    CONSTRAINT ended_is_nobodys CHECK (ended_at IS NULL OR (owner IS NULL AND wake_at IS NULL)),
    CONSTRAINT numbered_in_its_lane CHECK ((lane IS NULL) = (lane_no IS NULL) AND (lane IS NOT NULL OR turn)),
    CONSTRAINT waits_for_its_turn CHECK (turn OR state IN ('queued', 'refused', 'withdrawn', 'expired')),
    CONSTRAINT saw_what_was_sent CHECK (seen BETWEEN 0 AND signalled),
    CONSTRAINT has_entries CHECK (seq >= 1 AND octet_length(head) = 32)
) PARTITION BY LIST ((ended_at IS NULL));

-- Updates while a request is owned touch no indexed column, so that they stay on the page (HOT); that is also why its payload has a
-- table of its own. Requests that came together are updated together: half of each page is left for the new versions of the other half.
-- Each request leaves a dead row here when it ends: they are vacuumed by their number, since the table may be nearly empty.
CREATE TABLE open_requests PARTITION OF requests (PRIMARY KEY (id)) FOR VALUES IN (TRUE)
    WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- By the time in the id (UUIDv7), a leaf for each month. Ids of strange times are in the leaf for what no month is there for.
CREATE TABLE past_requests PARTITION OF requests (PRIMARY KEY (id)) FOR VALUES IN (FALSE) PARTITION BY RANGE (id);
CREATE TABLE past_requests_strays PARTITION OF past_requests DEFAULT;

CREATE INDEX requests_due ON open_requests (wake_at, id) WHERE wake_at IS NOT NULL;
-- The few under which workers died.
CREATE INDEX requests_suspects ON open_requests (wake_at, id) WHERE deaths >= 2;
-- Statements of the engine look requests up by lists of ids (see `BY_INDEX` in the adapter). The planner may take any index for
-- that, so those that such a statement can use begin with the id: one in which it comes later would be read from end to end. (What the
-- conditions say beside that is true of each row here: they keep other statements from taking these indexes.)
CREATE INDEX requests_owned ON open_requests (id) WHERE owner IS NOT NULL;
CREATE INDEX requests_parked ON open_requests (parked, id) WHERE parked IS NOT NULL AND ended_at IS NULL;
CREATE UNIQUE INDEX requests_lane ON open_requests (lane, lane_no) WHERE lane IS NOT NULL AND ended_at IS NULL;
-- For lists and counts. No process, customer or producer is empty: the conditions keep the engine's statements from taking these
-- indexes.
CREATE INDEX requests_customer ON requests (customer, id) WHERE customer <> '';
CREATE INDEX requests_producer ON requests (producer, id) WHERE producer <> '';
CREATE INDEX requests_process ON requests (process, id) WHERE process <> '';
CREATE INDEX requests_reason ON requests (reason, id) WHERE reason IS NOT NULL;
-- Ends come in order of time, so a summary per block range finds the newest ones of a month at next to no cost.
CREATE INDEX requests_ended ON past_requests USING brin (ended_at);

-- No foreign keys on the tables of the hot path: their rows are written by the statement next to the request's own. By months as what
-- they belong to.
CREATE TABLE payloads (
    request UUID  PRIMARY KEY,
    body    BYTEA NOT NULL
) PARTITION BY RANGE (request);
CREATE TABLE payloads_strays PARTITION OF payloads DEFAULT;

-- The ledger. Rows are only ever inserted; one holds what one write appended, packed (see `store/pack.rs`), under the number
-- of its first entry.
CREATE TABLE entries (
    request UUID   NOT NULL,
    seq     BIGINT NOT NULL,
    packed  BYTEA  NOT NULL,
    PRIMARY KEY (request, seq),
    CONSTRAINT counted_from_one CHECK (seq >= 1)
) PARTITION BY RANGE (request);
CREATE TABLE entries_strays PARTITION OF entries DEFAULT;

-- Which messages were accepted or rejected; its key decides about duplicates.
CREATE TABLE inbox (
    producer    TEXT   NOT NULL,
    message     TEXT   NOT NULL,
    body_sha256 BYTEA  NOT NULL,
    request     UUID,
    at          BIGINT NOT NULL,
    PRIMARY KEY (producer, message)
);
-- Rows come in order of time, so a summary per block range finds the old ones at next to no cost.
CREATE INDEX inbox_at ON inbox USING brin (at);

CREATE TABLE rejected (
    id         UUID   PRIMARY KEY,
    producer   TEXT   NOT NULL,
    message    TEXT,
    channel    TEXT   NOT NULL,
    process    TEXT,
    code       TEXT   NOT NULL,
    detail     TEXT   NOT NULL,
    raw        BYTEA  NOT NULL,
    raw_len    BIGINT NOT NULL,
    raw_sha256 BYTEA  NOT NULL,
    at         BIGINT NOT NULL
);
-- Which of them still have their bytes.
CREATE INDEX rejected_raw ON rejected (id) WHERE raw <> '';
-- The same message rejected twice is one.
CREATE UNIQUE INDEX rejected_once ON rejected (producer, message, raw_sha256) WHERE message IS NOT NULL;

-- `serialize_by`: requests of one lane are numbered from here, under the lane's lock (an advisory one: lanes have no rows). Each value
-- is the next one for everybody: none may be kept aside.
CREATE SEQUENCE lane_numbers CACHE 1;

-- Counts per limit and window.
CREATE TABLE limits (
    key       TEXT   NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at   BIGINT NOT NULL,
    n         BIGINT NOT NULL,
    PRIMARY KEY (key, starts_at)
) WITH (fillfactor = 70);
CREATE INDEX limits_end ON limits (ends_at);

-- What comes from outside for a request's owner; `no` counts them per request. (No foreign key can point at a request, here and in
-- reviews: none of its tables has all of them. Whoever writes such a row holds the request's.)
CREATE TABLE signals (
    id          UUID   PRIMARY KEY,
    request     UUID   NOT NULL,
    no          BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    body        BYTEA  NOT NULL,
    consumed_at BIGINT,
    answer      TEXT,
    UNIQUE (request, no),
    CONSTRAINT answered_when_consumed CHECK ((consumed_at IS NULL) = (answer IS NULL))
);
CREATE INDEX signals_waiting ON signals (at, id) WHERE consumed_at IS NULL;
CREATE INDEX signals_consumed ON signals (consumed_at) WHERE consumed_at IS NOT NULL;

CREATE TABLE reviews (
    id              UUID    PRIMARY KEY,
    request         UUID    NOT NULL,
    process         TEXT    NOT NULL,
    process_version BIGINT  NOT NULL,
    name            TEXT    NOT NULL,
    slot            TEXT    NOT NULL,
    customer        TEXT    NOT NULL,
    options         TEXT    NOT NULL,
    role            TEXT,
    four_eyes       BOOLEAN NOT NULL,
    state           TEXT    NOT NULL,
    version         BIGINT  NOT NULL,
    claimed_by      TEXT,
    claimed_until   BIGINT,
    escalated       BIGINT  NOT NULL,
    decision        BYTEA,
    opened_at       BIGINT  NOT NULL,
    due_at          BIGINT  NOT NULL,
    closed_at       BIGINT,
    CONSTRAINT known_state CHECK (state IN ('open', 'deciding', 'decided', 'cancelled')),
    CONSTRAINT closed_with_an_end CHECK ((closed_at IS NOT NULL) = (state IN ('decided', 'cancelled'))),
    CONSTRAINT claimed_for_a_time CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CONSTRAINT claimed_while_open CHECK (claimed_by IS NULL OR state = 'open')
);
CREATE INDEX reviews_due ON reviews (due_at, id) WHERE closed_at IS NULL;
CREATE INDEX reviews_all ON reviews (due_at, id);
CREATE INDEX reviews_request ON reviews (request);

-- Events, the newest of them for the feed.
CREATE TABLE outbox (
    id          UUID   PRIMARY KEY,
    request     UUID,
    seq         BIGINT NOT NULL,
    topic       TEXT   NOT NULL,
    body        BYTEA  NOT NULL,
    reply_to    TEXT,
    correlation TEXT,
    at          BIGINT NOT NULL
);

-- Events that the broker has not confirmed, by the worker that publishes them: one row for the events of one batch, since
-- those are mostly confirmed together, and to mark an event itself would write it, with its body, a second time.
CREATE TABLE unpublished (
    worker UUID   NOT NULL,
    first  UUID   NOT NULL,
    ids    UUID[] NOT NULL,
    PRIMARY KEY (worker, first)
);

CREATE TABLE defects (
    fingerprint TEXT   PRIMARY KEY,
    process     TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    slot        TEXT   NOT NULL,
    connector   TEXT,
    class       TEXT   NOT NULL,
    code        TEXT   NOT NULL,
    status      BIGINT,
    pattern     TEXT   NOT NULL,
    detail      TEXT   NOT NULL,
    sample      UUID   NOT NULL,
    count       BIGINT NOT NULL,
    first_seen  BIGINT NOT NULL,
    last_seen   BIGINT NOT NULL
);

-- Breakers, and resumes in progress.
CREATE TABLE controls (
    group_name TEXT   PRIMARY KEY,
    state      TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    changed_by TEXT   NOT NULL,
    canary     UUID,
    probe_at   BIGINT,
    rate       BIGINT NOT NULL,
    to_version BIGINT,
    since      BIGINT,
    changed_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    CONSTRAINT known_state CHECK (state IN ('closed', 'open', 'waiting', 'half_open', 'resuming', 'stopped'))
);

CREATE TABLE processes (
    name         TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    digest       TEXT   NOT NULL,
    source       TEXT   NOT NULL,
    published_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE tokens (
    name         TEXT   PRIMARY KEY,
    sha256       BYTEA  NOT NULL UNIQUE,
    roles        TEXT   NOT NULL,
    processes    TEXT   NOT NULL,
    review_roles TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT
);

CREATE TABLE settings (
    name  TEXT  PRIMARY KEY,
    value BYTEA NOT NULL
);

-- Counters, one set of rows per worker so that nobody waits for another; those of workers that are gone are folded
-- into the nil worker's.
CREATE TABLE tallies (
    worker UUID   NOT NULL,
    name   TEXT   NOT NULL,
    n      BIGINT NOT NULL,
    PRIMARY KEY (worker, name)
) WITH (fillfactor = 50);
