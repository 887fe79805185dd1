-- Add up the numbers that nobody changes any more; and count the next claims that are older than the counting. Returns
-- whether there are more of these.
--
-- Where that has got to, it excludes all that notes a change: what is changed is either counted here or noted, not both.
-- Nothing is lost when this is: its commit waits for no disk, and for no standby.
CREATE OR REPLACE FUNCTION :schema.count(most integer) RETURNS boolean LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    after bytea;
    last bytea;
    lock bigint;
    number integer;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    WITH old AS (
        DELETE FROM :schema.counts
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM :schema.counts WHERE period < :schema.period() - 1 FOR UPDATE SKIP LOCKED
        ))
        RETURNING rule, state, number
    )
    INSERT INTO :schema.counts AS c (session, period, rule, state, number)
    SELECT pg_backend_pid(), :schema.period(), rule, state, sum(number)
    FROM old
    GROUP BY rule, state
    HAVING sum(number) <> 0
    ON CONFLICT (session, period, rule, state) DO UPDATE SET number = c.number + excluded.number;

    SELECT value, tableoid::bigint INTO after, lock FROM :schema.facts WHERE name = 'counted';
    IF length(after) = 33 THEN
        RETURN false;
    END IF;
    BEGIN
        IF after = '' THEN
            -- What began before the schema changed is over then. Creates wait behind this, which a vacuum holds up.
            PERFORM set_config('lock_timeout', '50ms', true);
            LOCK TABLE :schema.claims IN SHARE MODE;
            PERFORM set_config('lock_timeout', '500ms', true);
        END IF;
        PERFORM pg_advisory_xact_lock(lock);
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;  -- later
    END;
    SELECT value INTO after FROM :schema.facts WHERE name = 'counted';
    WITH seen AS MATERIALIZED (
        SELECT fingerprint, rule, state, first_seen
        FROM :schema.claims
        WHERE fingerprint > after
        ORDER BY fingerprint
        LIMIT most
    ), listed AS (
        INSERT INTO :schema.unknown_claims (rule, first_seen, fingerprint)
        SELECT rule, first_seen, fingerprint FROM seen WHERE state > 2
        ON CONFLICT (rule, first_seen, fingerprint) DO NOTHING
    ), counted AS (
        INSERT INTO :schema.counts AS c (session, period, rule, state, number)
        SELECT pg_backend_pid(), :schema.period(), rule, least(state, 3), count(*)
        FROM seen
        WHERE state > 1
        GROUP BY rule, least(state, 3)
        ON CONFLICT (session, period, rule, state) DO UPDATE SET number = c.number + excluded.number
    )
    SELECT count(*), (array_agg(fingerprint ORDER BY fingerprint DESC))[1] INTO number, last FROM seen;
    UPDATE :schema.facts
    SET value = CASE WHEN number < most THEN decode(repeat('ff', 33), 'hex') ELSE last END
    WHERE name = 'counted';
    RETURN number = most;
END
$$
