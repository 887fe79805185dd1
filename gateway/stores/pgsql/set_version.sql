-- Note the version of the schema.
INSERT INTO :schema.facts AS f (name, value) VALUES ('schema', convert_to(%(version)s, 'UTF8'))
ON CONFLICT (name) DO UPDATE SET value = excluded.value
