-- Who has a review open at the moment, so that two people do not work out the same. A row is written anew every twenty seconds at
-- most for each open page, and is nothing once its time is over.
CREATE TABLE presences (
    review  BLOB NOT NULL,
    seen_by TEXT NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (review, seen_by)
) STRICT, WITHOUT ROWID;
