-- People who sign in to the console with a password, and how often somebody tried lately.

CREATE TABLE users (
    name         TEXT NOT NULL PRIMARY KEY,
    roles        TEXT NOT NULL,
    processes    TEXT NOT NULL,
    review_roles TEXT NOT NULL,
    -- Argon2id with its salt and cost, as a PHC string.
    password     TEXT NOT NULL,
    -- Counts changes: whoever signs in names the one whose password they gave.
    version      BIGINT NOT NULL DEFAULT 1,
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL,
    signed_in_at BIGINT,
    CONSTRAINT hashed CHECK (password LIKE '$argon2id$%')
);

-- Tries that did not succeed, by 16 bits of the name's hash: names that nobody has are counted the same way, and the table is bounded.
CREATE TABLE sign_in_tries (
    bucket   BIGINT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    CONSTRAINT bounded CHECK (bucket BETWEEN 0 AND 65535)
);
