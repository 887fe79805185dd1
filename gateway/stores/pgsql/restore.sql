-- Put back claims that a gateway knows of, on a server that may have lost them. A state of 0 is a freed one.
--
-- An end that the server knows of stays: it is later than what the gateway knows, where the answer to a commit was lost,
-- or another one has found out about the outcome. Returns how many were put back, and how many others hold.
CREATE OR REPLACE FUNCTION :schema.restore(of_node bytea, on_connection bigint, batch json)
RETURNS json LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    w :schema.wanted[] := ARRAY(SELECT r FROM json_populate_recordset(NULL:::schema.wanted, batch) AS r);
    restored integer;
    removed integer;
    taken integer;
    fingerprints bytea[];
    rules bytea[];
    ages bigint[];
    were smallint[];
    are smallint[];
    locked bytea[];
    locked_states smallint[];
    is_open boolean := NOT EXISTS (SELECT FROM :schema.facts WHERE name = 'server' AND value = :schema.server());
BEGIN
    PERFORM FROM :schema.nodes WHERE node = of_node AND connection = on_connection FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this connection has been replaced';
    END IF;
    -- First what makes place: claims that were freed, and those that had lapsed when another operation reserved them. As
    -- long as nobody could reserve anything anew, also what was in flight since before that: it had ended by then.
    DELETE FROM :schema.claims AS c
    WHERE c.fingerprint IN (
        SELECT d.fingerprint
        FROM :schema.claims AS d
        JOIN unnest(w) AS u ON d.fingerprint = u.fingerprint AND d.owner = u.owner
        WHERE u.state = 0
        ORDER BY d.fingerprint
        FOR UPDATE OF d
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    DELETE FROM :schema.claims AS c
    WHERE c.fingerprint IN (
        SELECT d.fingerprint
        FROM :schema.claims AS d
        JOIN unnest(w) AS u ON d.fingerprint = u.fingerprint AND d.owner <> u.owner
        WHERE u.state <> 0 AND CASE d.state WHEN 1 THEN is_open AND d.first_seen <= u.at ELSE d.expires_at <= u.at END
        ORDER BY d.fingerprint
        FOR UPDATE OF d
    );
    SELECT array_agg(fingerprint), array_agg(state) INTO locked, locked_states
    FROM (
        SELECT d.fingerprint, d.state
        FROM :schema.claims AS d
        JOIN unnest(w) AS u ON d.fingerprint = u.fingerprint
        WHERE u.state <> 0
        ORDER BY d.fingerprint
        FOR UPDATE OF d
    ) AS d;
    WITH put AS (
        INSERT INTO :schema.claims AS c (
            fingerprint, owner, state, expires_at, unknown_hold, first_seen, node, rule, entry, resource, caller, payload,
            answer, version, link
        )
        SELECT
            u.fingerprint, u.owner, u.state, u.expires_at, u.hold, u.at, of_node, u.rule, u.entry, u.resource, u.caller,
            u.payload, u.answer, u.version, u.link
        FROM unnest(w) AS u
        WHERE u.state <> 0
        ORDER BY u.fingerprint
        ON CONFLICT (fingerprint) DO UPDATE
        SET state = excluded.state, expires_at = excluded.expires_at, node = excluded.node,
            resource = excluded.resource, answer = coalesce(excluded.answer, c.answer),
            link = coalesce(excluded.link, c.link)
        WHERE c.owner = excluded.owner
            AND (c.state IN (1, 4) OR excluded.state = 2 OR c.state = 3 AND excluded.state = 3)
            AND (c.state, c.expires_at, c.resource, c.link) IS DISTINCT FROM (
                excluded.state, excluded.expires_at, excluded.resource, coalesce(excluded.link, c.link)
            )
        RETURNING c.fingerprint, c.rule, c.first_seen, c.state
    )
    SELECT
        count(*), array_agg(put.fingerprint), array_agg(put.rule), array_agg(put.first_seen), array_agg(u.state),
        array_agg(put.state)
    INTO restored, fingerprints, rules, ages, were, are
    FROM put
    LEFT JOIN unnest(locked, locked_states) AS u (fingerprint, state) ON u.fingerprint = put.fingerprint;
    IF restored > 0 THEN
        PERFORM :schema.note(fingerprints, rules, ages, were, are);
    END IF;
    SELECT count(*) INTO taken
    FROM unnest(w) AS u
    JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint
    WHERE u.state <> 0 AND c.owner <> u.owner;
    RETURN json_build_array(restored + removed, taken);
END
$$
