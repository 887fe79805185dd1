-- Whether there is the schema. Asked first, because CREATE SCHEMA IF NOT EXISTS needs the right to make it all the same.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)s)
