-- Decisions whose people are not beside them yet: as good as empty, since a program that knows the columns fills them as it decides.
CREATE INDEX IF NOT EXISTS reviews_unsigned ON reviews (id) WHERE decision IS NOT NULL AND decided_by IS NULL;
