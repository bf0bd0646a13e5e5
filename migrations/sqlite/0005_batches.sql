-- One decision for several reviews, worked off in the background by whoever runs.

CREATE TABLE batches (
    id          BLOB NOT NULL PRIMARY KEY,
    made_by     TEXT NOT NULL,
    decision    BLOB NOT NULL,
    at          INTEGER NOT NULL,
    start_at    INTEGER NOT NULL,
    done_at     INTEGER,
    -- Somebody works on it until then; an optimisation, since working on it twice decides nothing twice.
    taken_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX batches_open ON batches (start_at) WHERE done_at IS NULL;
-- What is swept.
CREATE INDEX batches_done ON batches (done_at) WHERE done_at IS NOT NULL;
-- Everybody's, the newest first.
CREATE INDEX batches_at ON batches (at, id);
CREATE INDEX batches_of ON batches (made_by, at);

CREATE TABLE batch_items (
    batch     BLOB NOT NULL,
    place     INTEGER NOT NULL,
    review    BLOB NOT NULL,
    version   INTEGER NOT NULL,
    signal_id BLOB NOT NULL,
    -- sending: marked before it is sent, and not stopped any more.
    came_to   TEXT NOT NULL,
    code      TEXT NOT NULL,
    why       TEXT NOT NULL,
    PRIMARY KEY (batch, review),
    CONSTRAINT known_end CHECK (came_to IN ('pending', 'sending', 'done', 'skipped', 'failed'))
) STRICT, WITHOUT ROWID;
