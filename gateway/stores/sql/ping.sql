-- Commits a write, because a store that can only be read cannot accept creates.
INSERT INTO facts (name, value) VALUES ('ping', :now)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
RETURNING name
