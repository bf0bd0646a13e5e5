-- Beside a review's row: decisions that can still be taken back, reviews that are put aside, and views that reviewers share.

-- A decision that takes effect later. It is what its maker sent, under the id that makes it happen once.
CREATE TABLE held (
    review     UUID NOT NULL PRIMARY KEY,
    request    UUID NOT NULL,
    held_by    TEXT NOT NULL,
    version    BIGINT NOT NULL,
    decision   BYTEA NOT NULL,
    signal_id  UUID NOT NULL,
    at         BIGINT NOT NULL,
    release_at BIGINT NOT NULL,
    -- Somebody carries it out: from now on it is not taken back, only repeated.
    releasing  BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX held_release ON held (release_at);

-- A review that nobody wants to see until then, or until something arrives for its request.
CREATE TABLE snoozes (
    review     UUID NOT NULL PRIMARY KEY,
    snoozed_by TEXT NOT NULL,
    at         BIGINT NOT NULL,
    until      BIGINT NOT NULL,
    note       TEXT NOT NULL
);

-- The last decision of a review that was held and could not be applied: what its maker is told.
CREATE TABLE held_ends (
    review   UUID NOT NULL PRIMARY KEY,
    made_by  TEXT NOT NULL,
    choice   TEXT NOT NULL,
    at       BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    code     TEXT NOT NULL,
    why      TEXT NOT NULL
);
CREATE INDEX held_ends_ended ON held_ends (ended_at);

-- What people did that no request's ledger says: rows are only ever inserted, together with what they tell of.
CREATE TABLE acts (
    id      UUID NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    done_by TEXT NOT NULL,
    what    TEXT NOT NULL,
    request UUID,
    review  UUID,
    detail  TEXT NOT NULL
);
CREATE INDEX acts_by ON acts (done_by, id);

-- What is swept.
CREATE INDEX snoozes_until ON snoozes (until);

CREATE TABLE views (
    id      UUID NOT NULL PRIMARY KEY,
    place   TEXT NOT NULL,
    name    TEXT NOT NULL,
    query   TEXT NOT NULL,
    made_by TEXT NOT NULL,
    at      BIGINT NOT NULL,
    -- Not of requests: those are looked for by who asked, and a view is for everybody.
    CONSTRAINT known_place CHECK (place = 'reviews'),
    CONSTRAINT once UNIQUE (place, name)
);
