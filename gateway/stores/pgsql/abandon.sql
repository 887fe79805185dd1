-- Leave the outcome of what a node had in flight unknown, once its count does not grow any more. Returns how many claims.
--
-- Their hold is counted from now, or from when they were reserved if that is later: another gateway's clock may be ahead.
-- Its row is kept, as stopped, for it may come back; it goes with `for_good`.
CREATE OR REPLACE FUNCTION :schema.abandon(of_node bytea, at_beats bigint, now bigint, for_good boolean)
RETURNS integer LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
#variable_conflict use_column
DECLARE
    forever CONSTANT bigint := 9223372036854775807;
    abandoned integer;
    awaited bytea[];
    fingerprints bytea[];
    rules bytea[];
    ages bigint[];
BEGIN
    PERFORM FROM :schema.nodes WHERE node = of_node AND beats = at_beats FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    WITH due AS MATERIALIZED (
        SELECT fingerprint, is_awaited
        FROM :schema.claims
        WHERE node = of_node AND state = 1
        ORDER BY fingerprint
        FOR UPDATE
    ), ended AS (
        UPDATE :schema.claims AS c
        SET state = 4, is_awaited = false,
            expires_at = CASE
                WHEN unknown_hold > forever - greatest(now, first_seen) THEN forever
                ELSE greatest(now, first_seen) + unknown_hold
            END
        FROM due
        WHERE c.fingerprint = due.fingerprint
        RETURNING c.owner, due.is_awaited, c.fingerprint, c.rule, c.first_seen
    )
    SELECT
        count(*), array_agg(DISTINCT owner) FILTER (WHERE is_awaited),
        array_agg(fingerprint), array_agg(rule), array_agg(first_seen)
    INTO abandoned, awaited, fingerprints, rules, ages
    FROM ended;
    IF abandoned > 0 THEN
        PERFORM :schema.note(
            fingerprints, rules, ages, array_fill(1::smallint, ARRAY[abandoned]), array_fill(4::smallint, ARRAY[abandoned])
        );
    END IF;
    PERFORM :schema.tell(awaited);
    IF for_good THEN
        DELETE FROM :schema.nodes WHERE node = of_node;
    ELSE
        UPDATE :schema.nodes SET stopped = true WHERE node = of_node AND NOT stopped;
    END IF;
    RETURN abandoned;
END
$$
