-- Beside a review's row: decisions that can still be taken back, reviews that are put aside, and views that reviewers share.

-- A decision that takes effect later. It is what its maker sent, under the id that makes it happen once.
CREATE TABLE held (
    review     BLOB NOT NULL PRIMARY KEY,
    request    BLOB NOT NULL,
    held_by    TEXT NOT NULL,
    version    INTEGER NOT NULL,
    decision   BLOB NOT NULL,
    signal_id  BLOB NOT NULL,
    at         INTEGER NOT NULL,
    release_at INTEGER NOT NULL,
    -- Somebody carries it out: from now on it is not taken back, only repeated.
    releasing  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX held_release ON held (release_at);

-- A review that nobody wants to see until then, or until something arrives for its request.
CREATE TABLE snoozes (
    review     BLOB NOT NULL PRIMARY KEY,
    snoozed_by TEXT NOT NULL,
    at         INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    note       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The last decision of a review that was held and could not be applied: what its maker is told.
CREATE TABLE held_ends (
    review   BLOB NOT NULL PRIMARY KEY,
    made_by  TEXT NOT NULL,
    choice   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    code     TEXT NOT NULL,
    why      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX held_ends_ended ON held_ends (ended_at);

-- What people did that no request's ledger says: rows are only ever inserted, together with what they tell of.
CREATE TABLE acts (
    id      BLOB NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    done_by TEXT NOT NULL,
    what    TEXT NOT NULL,
    request BLOB,
    review  BLOB,
    detail  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX acts_by ON acts (done_by, id);

-- What is swept.
CREATE INDEX snoozes_until ON snoozes (until);

CREATE TABLE views (
    id      BLOB NOT NULL PRIMARY KEY,
    place   TEXT NOT NULL,
    name    TEXT NOT NULL,
    query   TEXT NOT NULL,
    made_by TEXT NOT NULL,
    at      INTEGER NOT NULL,
    -- Not of requests: those are looked for by who asked, and a view is for everybody.
    CONSTRAINT known_place CHECK (place = 'reviews'),
    CONSTRAINT once UNIQUE (place, name)
) STRICT, WITHOUT ROWID;
