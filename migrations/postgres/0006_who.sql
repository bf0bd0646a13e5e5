-- Who decided what, and who saw what: by person and by process, newest first. A row enters these indexes when its review is closed, so the
-- engine pays for one entry (the process) and, where a person decided, for a second one, when it closes it, and for none when it opens it.

-- The person whose decision was sent to the owner, and the first of two: what `decision` says, beside it. (An index on what is inside
-- that JSON could fail on a text that PostgreSQL's JSON does not take, and with it the owner's write.)
ALTER TABLE reviews ADD COLUMN decided_by TEXT;
ALTER TABLE reviews ADD COLUMN first_by TEXT;
-- Decisions that are there: our own text, its members always in this order.
UPDATE reviews SET
    decided_by = substring(convert_from(decision, 'UTF8') FROM '^\{"review":"[^"]*","choice":"[^"]*","by":"([^"\\]*)"'),
    first_by = substring(convert_from(decision, 'UTF8') FROM '^\{"review":"[^"]*","choice":"[^"]*","by":"[^"\\]*","first_by":"([^"\\]*)"')
    WHERE decision IS NOT NULL;

CREATE INDEX reviews_decided_by ON reviews (decided_by, closed_at, id) WHERE closed_at IS NOT NULL AND decided_by IS NOT NULL;
CREATE INDEX reviews_first_by ON reviews (first_by, closed_at, id) WHERE closed_at IS NOT NULL AND first_by IS NOT NULL;
CREATE INDEX reviews_of_process ON reviews (process, closed_at, id) WHERE closed_at IS NOT NULL;
CREATE INDEX looks_by ON looks (seen_by, id);
