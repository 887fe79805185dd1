-- Take note of claims that changed: of each its rule, when it was first seen, the state that it had, and the one that it
-- has; 1 where there is none. Called by functions that have set the search path.
--
-- The numbers are kept in rows of this session alone, so that no session waits for another; and in others every ten
-- seconds: of a row that is changed often, each version is looked at as long as somebody has an old snapshot.
CREATE OR REPLACE FUNCTION :schema.note(
    fingerprints bytea[], rules bytea[], ages bigint[], were smallint[], are smallint[]
) RETURNS void LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    counted bytea;
    lock bigint;
BEGIN
    SELECT value, tableoid::bigint INTO counted, lock FROM :schema.facts WHERE name = 'counted';
    IF length(counted) < 33 THEN
        PERFORM pg_advisory_xact_lock_shared(lock);  -- see count.sql
        SELECT value INTO counted FROM :schema.facts WHERE name = 'counted';
    END IF;
    IF were && '{3,4}'::smallint[] THEN
        DELETE FROM :schema.unknown_claims AS c
        USING unnest(fingerprints, rules, ages, were) AS u (fingerprint, rule, age, state)
        WHERE u.state > 2 AND c.rule = u.rule AND c.first_seen = u.age AND c.fingerprint = u.fingerprint;
    END IF;
    IF are && '{3,4}'::smallint[] THEN
        INSERT INTO :schema.unknown_claims (rule, first_seen, fingerprint)
        SELECT u.rule, u.age, u.fingerprint
        FROM unnest(fingerprints, rules, ages, are) AS u (fingerprint, rule, age, state)
        WHERE u.state > 2
        ON CONFLICT (rule, first_seen, fingerprint) DO NOTHING;
    END IF;
    INSERT INTO :schema.counts AS c (session, period, rule, state, number)
    SELECT pg_backend_pid(), :schema.period(), u.rule, least(u.state, 3), sum(u.by)
    FROM (
        SELECT fingerprint, rule, state, 1 AS by
        FROM unnest(fingerprints, rules, are) AS u (fingerprint, rule, state)
        UNION ALL
        SELECT fingerprint, rule, state, -1
        FROM unnest(fingerprints, rules, were) AS u (fingerprint, rule, state)
    ) AS u
    WHERE u.state > 1 AND u.fingerprint <= counted
    GROUP BY u.rule, least(u.state, 3)
    HAVING sum(u.by) <> 0
    ON CONFLICT (session, period, rule, state) DO UPDATE SET number = c.number + excluded.number;
END
$$
