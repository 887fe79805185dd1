-- Commits something, because a store that can only be read takes no creates.
INSERT INTO facts (name, value) VALUES ('ping', :now)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
RETURNING name
