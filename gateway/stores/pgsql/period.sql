-- In which ten seconds this transaction has begun: see note.sql.
CREATE OR REPLACE FUNCTION :schema.period() RETURNS bigint LANGUAGE sql STABLE
AS $$SELECT (extract(epoch FROM now()) / 10)::bigint$$
