-- Name the server whose data is whole, where there has been none: it is new, and has lost nothing.
INSERT INTO :schema.facts AS f (name, value) VALUES ('server', %(server)s) ON CONFLICT (name) DO NOTHING
