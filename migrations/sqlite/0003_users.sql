-- People who sign in to the console with a password, and how often somebody tried lately.

CREATE TABLE users (
    name         TEXT NOT NULL PRIMARY KEY,
    roles        TEXT NOT NULL,
    processes    TEXT NOT NULL,
    review_roles TEXT NOT NULL,
    -- Argon2id with its salt and cost, as a PHC string.
    password     TEXT NOT NULL,
    -- Counts changes: whoever signs in names the one whose password they gave.
    version      INTEGER NOT NULL DEFAULT 1,
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    signed_in_at INTEGER,
    CONSTRAINT hashed CHECK (password LIKE '$argon2id$%')
) STRICT, WITHOUT ROWID;

-- Tries that did not succeed, by 16 bits of the name's hash: names that nobody has are counted the same way, and the table is bounded.
CREATE TABLE sign_in_tries (
    bucket   INTEGER NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    CONSTRAINT bounded CHECK (bucket BETWEEN 0 AND 65535)
) STRICT;
