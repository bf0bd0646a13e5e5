-- no-transaction
-- The requests of one process, newest first: for those who may see no other, and for counts of its clauses. (No process is empty: as with
-- the other lists, the condition keeps the engine's statements away.)
CREATE INDEX CONCURRENTLY IF NOT EXISTS requests_process ON requests (process, id) WHERE process <> '';
