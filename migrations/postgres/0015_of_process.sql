-- The requests of one process, newest first: PostgreSQL's index is made with the table, since none can be built beside writers on a
-- table that is partitioned.
SELECT 1;
