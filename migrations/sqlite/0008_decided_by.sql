-- A row enters this index, and the next two, when its review is closed: the engine pays for one entry (the process) and, where a person
-- decided, for a second one, when it closes it, and for none when it opens it.
CREATE INDEX IF NOT EXISTS reviews_decided_by ON reviews (decided_by, closed_at, id)
    WHERE closed_at IS NOT NULL AND decided_by IS NOT NULL;
