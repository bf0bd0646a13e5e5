-- Where two had to decide: the first of them.
CREATE INDEX IF NOT EXISTS reviews_first_by ON reviews (first_by, closed_at, id) WHERE closed_at IS NOT NULL AND first_by IS NOT NULL;
