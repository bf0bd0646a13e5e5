-- The console: one-time links to sign in with, sessions, and who has looked at what is masked elsewhere.

-- A link is good once and for a short time. Used and expired ones are swept later: they say who was let in, and when.
CREATE TABLE links (
    sha256       BYTEA NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    roles        TEXT NOT NULL,
    processes    TEXT NOT NULL,
    review_roles TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT,
    revoked_at   BIGINT,
    CONSTRAINT hashed CHECK (length(sha256) = 32)
);
CREATE INDEX links_end ON links (expires_at);

CREATE TABLE sessions (
    sha256       BYTEA NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    roles        TEXT NOT NULL,
    processes    TEXT NOT NULL,
    review_roles TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT,
    -- Whose rights were taken away, and not only signed out.
    revoked_at   BIGINT,
    CONSTRAINT hashed CHECK (length(sha256) = 32)
);
CREATE INDEX sessions_end ON sessions (expires_at);
CREATE INDEX sessions_name ON sessions (name);

-- A masked value was shown to a person. Rows are only ever inserted; the value itself is not here.
CREATE TABLE looks (
    id      UUID NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    seen_by TEXT NOT NULL,
    request UUID NOT NULL,
    field   TEXT NOT NULL,
    reason  TEXT NOT NULL
);
CREATE INDEX looks_request ON looks (request);

-- Who decided: closed reviews, newest first.
CREATE INDEX reviews_closed ON reviews (closed_at, id) WHERE closed_at IS NOT NULL;
