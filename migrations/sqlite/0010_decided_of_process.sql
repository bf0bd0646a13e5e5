-- What was decided about one process.
CREATE INDEX IF NOT EXISTS reviews_of_process ON reviews (process, closed_at, id) WHERE closed_at IS NOT NULL;
