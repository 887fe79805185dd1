-- The key check: that of the gateway which came first.
INSERT INTO :schema.facts AS f (name, value) VALUES ('key_check', %(value)s)
ON CONFLICT (name) DO UPDATE SET value = f.value
RETURNING value
