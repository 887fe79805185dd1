-- Name the server whose data is whole; an empty name for none.
INSERT INTO :schema.facts AS f (name, value) VALUES ('server', %(server)s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
