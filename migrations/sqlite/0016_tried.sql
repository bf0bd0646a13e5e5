-- When somebody last tried to send a held decision whose time has come: what cannot be sent goes behind what was not tried yet. A
-- column that may be NULL; a worker of the last version does not fill it, which costs an early try.
ALTER TABLE held ADD COLUMN tried_at INTEGER;
