-- no-transaction
-- What is asked about one process, of all that is open: who may see one process only asks for it every time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS reviews_open_of_process ON reviews (process, due_at, id) WHERE closed_at IS NULL;
