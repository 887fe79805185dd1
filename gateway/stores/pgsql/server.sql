-- Which server this is, since it has started: a restart, a failover and a restore from a backup each make it another one.
CREATE OR REPLACE FUNCTION :schema.server() RETURNS bytea LANGUAGE sql STABLE
AS $$SELECT convert_to(extract(epoch FROM pg_postmaster_start_time())::text, 'UTF8')$$
