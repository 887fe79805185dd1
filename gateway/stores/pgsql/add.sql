-- Add claims that are settled already, each where nothing is held; no fingerprint may come twice. All are locked in their
-- order, and the row of the gateway's connection is, as in write.sql.
--
-- Returns {"moved": true} as that does, or {"at": transaction, "met": [stored record of each that is held in their place]}.
CREATE OR REPLACE FUNCTION :schema.add(
    of_node bytea, on_connection bigint, since bigint, on_server bytea, lock_timeout text, batch json, now bigint
) RETURNS json LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    w :schema.wanted[] := ARRAY(SELECT r FROM json_populate_recordset(NULL:::schema.wanted, batch) AS r);
    met json[];
BEGIN
    PERFORM set_config('lock_timeout', lock_timeout, true);
    IF NOT :schema.is_current(of_node, on_connection, since, on_server) THEN
        RETURN '{"moved": true}';
    END IF;
    PERFORM FROM :schema.nodes WHERE node = of_node AND connection = on_connection AND beats >= since FOR SHARE;
    IF NOT FOUND THEN
        RETURN '{"moved": true}';
    END IF;
    LOOP  -- a second time where some had expired
        INSERT INTO :schema.claims AS c (
            fingerprint, owner, state, expires_at, unknown_hold, first_seen, node, rule, entry, resource, caller, payload,
            answer, version, link
        )
        SELECT
            u.fingerprint, u.owner, u.state, u.expires_at, u.hold, u.at, of_node, u.rule, u.entry, u.resource, u.caller,
            u.payload, u.answer, u.version, u.link
        FROM unnest(w) AS u
        ORDER BY u.fingerprint
        ON CONFLICT (fingerprint) DO UPDATE SET state = c.state WHERE false;  -- locks it
        DELETE FROM :schema.claims AS c
        USING unnest(w) AS u
        WHERE c.fingerprint = u.fingerprint AND c.xmin <> pg_current_xact_id()::xid AND c.state <> 1 AND c.expires_at <= now;
        EXIT WHEN NOT FOUND;
    END LOOP;
    PERFORM :schema.note(
        array_agg(c.fingerprint), array_agg(c.rule), array_agg(c.first_seen), array_agg(1::smallint), array_agg(c.state)
    )
    FROM unnest(w) AS u
    JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint
    WHERE c.xmin = pg_current_xact_id()::xid
    HAVING count(*) > 0;
    met := ARRAY(
        SELECT :schema.stored(c)
        FROM unnest(w) AS u
        JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint
        WHERE c.xmin <> pg_current_xact_id()::xid
    );
    RETURN json_build_object('at', pg_current_xact_id()::text::bigint, 'met', array_to_json(met));
END
$$
