-- no-transaction
-- What one person has seen.
CREATE INDEX CONCURRENTLY IF NOT EXISTS looks_by ON looks (seen_by, id);
