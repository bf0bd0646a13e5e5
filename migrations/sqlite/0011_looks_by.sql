-- What one person has seen.
CREATE INDEX IF NOT EXISTS looks_by ON looks (seen_by, id);
