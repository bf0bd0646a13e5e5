-- no-transaction
-- What one person holds, of all that is open. A row enters when somebody claims the review.
CREATE INDEX CONCURRENTLY IF NOT EXISTS reviews_claimed ON reviews (claimed_by, due_at, id) WHERE claimed_by IS NOT NULL;
