-- Decide a batch of calls in order, and write what they change: all of it, or nothing.
--
-- All fingerprints that may change are locked in one pass and in their order, those that are not there yet by inserting
-- them: so that two gateways never wait for each other. Creates that meet a claim which nothing in the batch settles
-- need no lock: a burst of duplicates is only read.
--
-- The row of the gateway's connection is locked, too. A connection that broke may still carry out what was sent on it:
-- the next one replaces its token, and so waits until that has ended, or keeps it from beginning.
--
-- Returns {"moved": true} where the server is not the one that is known to be whole, or {"at": transaction, or 0 where
-- nothing was written, "answers": [one a call]}. An answer is the number of claims that were settled, or
-- {"held": […]} or {"lapsed": […]}, of [number of the claim, stored record, number of the claim that changed it or 0].
CREATE OR REPLACE FUNCTION :schema.write(
    of_node bytea, on_connection bigint, since bigint, on_server bytea, lock_timeout text, batch json
) RETURNS json LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    forever CONSTANT bigint := 9223372036854775807;
    w :schema.wanted[] := ARRAY(SELECT r FROM json_populate_recordset(NULL:::schema.wanted, batch) AS r);
    size CONSTANT integer := coalesce(array_length(w, 1), 0);
    -- by place: what is there, and the number of the claim that changed it in this batch
    states smallint[];
    owners bytea[];
    expiries bigint[];
    records json[];
    changed integer[];
    is_settled boolean[];
    is_mine boolean[];  -- inserted just now
    is_awaited boolean[];  -- somebody waits for its end
    were smallint[];  -- the state before this batch; null where it was not there
    rules bytea[];  -- and, where that was not in flight, the rule, and when it was first seen
    ages bigint[];
    inserting integer[];  -- the claim for which it is inserted, where it is not there
    -- by number of a claim
    is_inserted boolean[] := array_fill(false, ARRAY[size]);
    is_taken boolean[] := array_fill(false, ARRAY[size]);
    is_ended boolean[] := array_fill(false, ARRAY[size]);
    freed bytea[] := '{}';
    ended bytea[] := '{}';  -- the owners of operations that somebody waits for
    counted integer[] := '{}';  -- taken claims that had been counted
    is_usual boolean := true;  -- whether all that ended were in flight, and are created
    is_held boolean[];  -- by number of a call
    answers json[] := '{}';
    met json[];
    places integer;
    first integer;
    last integer;
    p integer;
    count integer;
    row_at record;
BEGIN
    PERFORM set_config('lock_timeout', lock_timeout, true);
    IF NOT EXISTS (SELECT FROM :schema.facts WHERE name = 'server' AND value = on_server)
        OR on_server <> :schema.server()
        OR NOT EXISTS (
            SELECT FROM :schema.nodes WHERE node = of_node AND connection = on_connection AND beats >= since
        )
    THEN
        RETURN '{"moved": true}';
    END IF;
    IF size = 0 THEN
        RETURN '{"at": 0, "answers": []}';
    END IF;

    SELECT array_agg(s.state), array_agg(s.owner), array_agg(s.expires_at), array_agg(s.record), count(*)
    INTO states, owners, expiries, records, places
    FROM (
        SELECT c.state, c.owner, c.expires_at, CASE WHEN c.state IS NOT NULL THEN :schema.record(c) END AS record
        FROM (SELECT DISTINCT u.place, u.fingerprint FROM unnest(w) AS u) AS u
        LEFT JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint
        ORDER BY u.place
    ) AS s;
    changed := array_fill(0, ARRAY[places]);
    inserting := array_fill(0, ARRAY[places]);
    is_settled := array_fill(false, ARRAY[places]);
    is_mine := array_fill(false, ARRAY[places]);
    is_awaited := array_fill(false, ARRAY[places]);
    is_held := array_fill(false, ARRAY[w[size].call]);
    FOR i IN 1 .. size LOOP
        IF w[i].states <> '' THEN
            is_settled[w[i].place] := true;
        END IF;
    END LOOP;
    FOR i IN 1 .. size LOOP
        p := w[i].place;
        IF w[i].states = '' AND NOT is_settled[p] AND (states[p] = 1 OR expiries[p] > w[i].at) THEN
            is_held[w[i].call] := true;
        END IF;
    END LOOP;
    count := 0;
    FOR i IN 1 .. size LOOP
        p := w[i].place;
        IF NOT is_held[w[i].call] AND (inserting[p] = 0 OR w[inserting[p]].states <> '' AND w[i].states = '') THEN
            IF inserting[p] = 0 THEN
                count := count + 1;
            ELSE
                is_inserted[inserting[p]] := false;
            END IF;
            inserting[p] := i;
            is_inserted[i] := true;
        END IF;
    END LOOP;

    IF count > 0 THEN
        PERFORM FROM :schema.nodes WHERE node = of_node AND connection = on_connection AND beats >= since FOR SHARE;
        IF NOT FOUND THEN
            RETURN '{"moved": true}';
        END IF;
        INSERT INTO :schema.claims AS c (
            fingerprint, owner, state, expires_at, unknown_hold, first_seen, node, rule, entry, caller, payload
        )
        SELECT
            u.fingerprint, coalesce(u.owner, ''), 1, forever, coalesce(u.hold, 0), u.at, of_node,
            coalesce(u.rule, ''), coalesce(u.entry, ''), u.caller, u.payload
        FROM unnest(w) WITH ORDINALITY AS u
        WHERE is_inserted[u.ordinality]
        ORDER BY u.fingerprint
        ON CONFLICT (fingerprint) DO UPDATE SET state = c.state WHERE false;  -- locks it
        GET DIAGNOSTICS last = ROW_COUNT;
        FOR row_at IN
            SELECT u.place, c.state, c.owner, c.expires_at, c.is_awaited, c.rule, c.first_seen,
                c.xmin = pg_current_xact_id()::xid AS is_mine,
                CASE WHEN c.xmin <> pg_current_xact_id()::xid THEN :schema.record(c) END AS record
            FROM unnest(w) WITH ORDINALITY AS u
            JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint
            WHERE is_inserted[u.ordinality] AND last < count  -- all of them are new otherwise
        LOOP
            p := row_at.place;
            is_mine[p] := row_at.is_mine;
            IF NOT row_at.is_mine THEN
                states[p] := row_at.state;
                owners[p] := row_at.owner;
                expiries[p] := row_at.expires_at;
                records[p] := row_at.record;
                is_awaited[p] := row_at.is_awaited;
                were[p] := row_at.state;
                IF row_at.state <> 1 THEN
                    rules[p] := row_at.rule;
                    ages[p] := row_at.first_seen;
                END IF;
            END IF;
        END LOOP;
        FOR i IN 1 .. size LOOP
            p := w[i].place;
            IF is_inserted[i] AND (last = count OR is_mine[p]) THEN
                is_mine[p] := true;
                states[p] := NULL;
            END IF;
        END LOOP;
    END IF;

    first := 1;
    WHILE first <= size LOOP
        last := first;
        WHILE last < size AND w[last + 1].call = w[first].call LOOP
            last := last + 1;
        END LOOP;
        IF w[first].states = '' THEN
            met := '{}';
            FOR i IN first .. last LOOP
                p := w[i].place;
                IF states[p] = 1 OR expiries[p] > w[i].at AND states[p] IS NOT NULL THEN
                    met := met || json_build_array(i, records[p], changed[p]);
                END IF;
            END LOOP;
            IF array_length(met, 1) > 0 THEN
                answers := answers || json_build_object('held', met);
            ELSE
                FOR i IN first .. last LOOP
                    p := w[i].place;
                    IF states[p] IN (3, 4) THEN
                        met := met || json_build_array(i, records[p], changed[p]);
                    END IF;
                    states[p] := 1;
                    owners[p] := w[i].owner;
                    expiries[p] := forever;
                    changed[p] := i;
                END LOOP;
                answers := answers || json_build_object('lapsed', met);
            END IF;
        ELSE
            count := 0;
            FOR i IN first .. last LOOP
                p := w[i].place;
                IF states[p] IS NOT NULL AND strpos(w[i].states, states[p]::text) > 0
                    AND (w[i].owner IS NULL OR owners[p] = w[i].owner)
                THEN
                    count := count + 1;
                    IF is_awaited[p] THEN
                        ended := ended || owners[p];
                        is_awaited[p] := false;
                    END IF;
                    changed[p] := i;
                    expiries[p] := w[i].expires_at;
                    states[p] := nullif(w[i].state, 0);
                END IF;
            END LOOP;
            answers := answers || to_json(count);
        END IF;
        first := last + 1;
    END LOOP;

    first := 0;  -- how many rows are taken, and how many end
    last := 0;
    FOR i IN 1 .. size LOOP
        p := w[i].place;
        IF changed[p] = i THEN
            IF w[i].states = '' THEN
                IF NOT (is_mine[p] AND inserting[p] = i) THEN
                    is_taken[i] := true;
                    first := first + 1;
                    IF were[p] > 1 THEN
                        counted := counted || i;
                    END IF;
                END IF;
            ELSIF w[i].state = 0 THEN
                freed := freed || w[i].fingerprint;
            ELSE
                is_ended[i] := true;
                last := last + 1;
                is_usual := is_usual AND coalesce(were[p] = 1, false) AND w[i].state = 2;
            END IF;
        ELSIF is_mine[p] AND inserting[p] = i AND changed[p] = 0 THEN
            freed := freed || w[i].fingerprint;
        END IF;
    END LOOP;
    IF first > 0 THEN
        UPDATE :schema.claims AS c
        SET owner = u.owner, state = 1, expires_at = forever, unknown_hold = u.hold, first_seen = u.at,
            node = of_node, rule = u.rule, entry = u.entry, resource = NULL, caller = u.caller, payload = u.payload,
            answer = NULL, is_awaited = false
        FROM unnest(w) WITH ORDINALITY AS u
        WHERE is_taken[u.ordinality] AND c.fingerprint = u.fingerprint;
        IF array_length(counted, 1) > 0 THEN
            PERFORM :schema.note(
                array_agg(w[n].fingerprint), array_agg(rules[w[n].place]), array_agg(ages[w[n].place]),
                array_agg(were[w[n].place]), array_agg(1::smallint)
            )
            FROM unnest(counted) AS n;
        END IF;
    END IF;
    IF last > 0 THEN
        is_usual := is_usual AND (SELECT length(value) = 33 FROM :schema.facts WHERE name = 'counted');
        WITH ended AS (
            UPDATE :schema.claims AS c
            SET state = u.state, expires_at = u.expires_at, resource = u.resource,
                answer = coalesce(u.answer, c.answer), is_awaited = false
            FROM unnest(w) WITH ORDINALITY AS u
            WHERE is_ended[u.ordinality] AND c.fingerprint = u.fingerprint
            RETURNING c.fingerprint, c.rule, c.first_seen, were[u.place] AS was, c.state
        ), noted AS (
            INSERT INTO :schema.counts AS c (session, period, rule, state, number)
            SELECT pg_backend_pid(), :schema.period(), rule, 2, count(*) FROM ended WHERE is_usual GROUP BY rule
            ON CONFLICT (session, period, rule, state) DO UPDATE SET number = c.number + excluded.number
        )
        SELECT
            array_agg(fingerprint) AS fingerprints, array_agg(rule) AS rules, array_agg(first_seen) AS ages,
            array_agg(was) AS were, array_agg(state) AS are
        INTO row_at
        FROM ended
        WHERE NOT is_usual;
        IF NOT is_usual THEN
            PERFORM :schema.note(row_at.fingerprints, row_at.rules, row_at.ages, row_at.were, row_at.are);
        END IF;
    END IF;
    IF array_length(freed, 1) > 0 THEN
        DELETE FROM :schema.claims WHERE fingerprint = ANY (freed);
    END IF;
    IF array_length(ended, 1) > 0 THEN
        PERFORM :schema.tell(ended);
    END IF;
    RETURN json_build_object(
        'at', coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0), 'answers', array_to_json(answers)
    );
END
$$
