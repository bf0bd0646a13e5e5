-- The requests of one process, newest first: for those who may see no other, and for counts of its clauses.
CREATE INDEX requests_process ON requests (process, id);
