-- Who waits for the end of an operation marks a claim of it: see await.sql.
ALTER TABLE :schema.claims ADD COLUMN is_awaited boolean NOT NULL DEFAULT false;
