-- Who decided what, and who saw what: by person and by process, newest first. This file adds what the indexes of the next ones are about.

-- The person whose decision was sent to the owner, and the first of two: what `decision` says, beside it. Rows that are there are
-- filled by the program (`src/store/who.rs`), as in PostgreSQL.
ALTER TABLE reviews ADD COLUMN decided_by TEXT;
ALTER TABLE reviews ADD COLUMN first_by TEXT;
