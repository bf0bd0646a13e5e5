-- Who has a review open at the moment, so that two people do not work out the same. A row is written anew every twenty seconds at
-- most for each open page, and is nothing once its time is over; nothing that was promised rests on it, so that it needs no
-- write-ahead log: after a crash of the database open pages say it again.
CREATE UNLOGGED TABLE presences (
    review  UUID   NOT NULL,
    seen_by TEXT   NOT NULL,
    until   BIGINT NOT NULL,
    PRIMARY KEY (review, seen_by)
);
