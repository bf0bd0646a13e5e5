-- Who decided what, and who saw what: by person and by process, newest first. This file adds what the indexes of the next ones are
-- about; each of those stands alone, since PostgreSQL builds an index beside its readers and writers only outside a transaction.

-- The person whose decision was sent to the owner, and the first of two: what `decision` says, beside it. (An index on what is inside
-- that JSON could fail on a text that PostgreSQL's JSON does not take, and with it the owner's write.) Columns that may be NULL: the
-- catalogue changes, no row is written. Rows that are there, and those that a worker of the last version writes beside this one, are
-- filled in small steps by the program (`src/store/who.rs`).
ALTER TABLE reviews ADD COLUMN decided_by TEXT;
ALTER TABLE reviews ADD COLUMN first_by TEXT;
