-- no-transaction
-- What waits for a second person, of all that is open.
CREATE INDEX CONCURRENTLY IF NOT EXISTS reviews_second ON reviews (due_at, id) WHERE closed_at IS NULL AND decision IS NOT NULL;
