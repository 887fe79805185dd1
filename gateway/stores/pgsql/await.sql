-- See which operations hold their claims in flight still; with `marks`, who ends one says so: see write.sql.
--
-- One that somebody changes just now is not marked, so that nobody waits for anybody. Nothing hangs on a mark, and so its
-- commit waits for no disk, and for no standby. Returns the owner of each, and whether its claim is marked.
CREATE OR REPLACE FUNCTION :schema.await(fingerprints bytea[], owners bytea[], marks boolean)
RETURNS TABLE (owner bytea, is_awaited boolean) LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF marks THEN
        PERFORM set_config('synchronous_commit', 'off', true);
        UPDATE :schema.claims AS c
        SET is_awaited = true
        FROM (
            SELECT d.fingerprint
            FROM unnest(fingerprints, owners) AS u (fingerprint, owner)
            JOIN :schema.claims AS d ON d.fingerprint = u.fingerprint AND d.owner = u.owner
            WHERE d.state = 1 AND NOT d.is_awaited
            FOR UPDATE OF d SKIP LOCKED
        ) AS due
        WHERE c.fingerprint = due.fingerprint;
    END IF;
    RETURN QUERY
    SELECT c.owner, c.is_awaited AND marks
    FROM unnest(fingerprints, owners) AS u (fingerprint, owner)
    JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint AND c.owner = u.owner
    WHERE c.state = 1;
END
$$
