-- Decide a batch of calls in order, and write what they change: all of it, or nothing.
--
-- All fingerprints that may change are locked in one pass and in their order, those that are not there yet by inserting
-- them: so that two gateways never wait for each other. Creates that meet a claim which nothing in the batch settles
-- need no lock: a burst of duplicates is only read.
--
-- Claims of other operations (`is_other`) change with those of a call where all of these were in flight until then.
--
-- The row of the gateway's connection is locked, too. A connection that broke may still carry out what was sent on it:
-- the next one replaces its token, and so waits until that has ended, or keeps it from beginning.
--
-- Returns {"moved": true} where the server is not the one that is known to be whole, or {"at": transaction, or 0 where
-- nothing was written, "answers": [one a call]}. An answer is the number of claims that were settled; with those of others
-- {"settled": that, "changed": [numbers of those that changed]}; or
-- {"held": […]} or {"lapsed": […]}, of [number of the claim, stored record, number of the claim that changed it or 0].
-- With `older`, records are as record.sql has them.
CREATE OR REPLACE FUNCTION :schema.write(
    of_node bytea, on_connection bigint, since bigint, on_server bytea, lock_timeout text, batch json, older boolean
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
    changed integer[] := array_fill(0, ARRAY[size]);
    is_settled boolean[] := array_fill(false, ARRAY[size]);
    is_asked boolean[] := array_fill(false, ARRAY[size]);  -- by a create
    is_mine boolean[] := array_fill(false, ARRAY[size]);  -- inserted just now
    is_awaited boolean[];  -- somebody waits for its end
    were smallint[];  -- the state before this batch; null where it was not there
    rules bytea[];  -- and, where that was not in flight, the rule, and when it was first seen
    ages bigint[];
    inserting integer[] := array_fill(0, ARRAY[size]);  -- the claim for which it is inserted, where it is not there
    -- by number of a claim
    is_inserted boolean[] := array_fill(false, ARRAY[size]);
    ended bytea[] := '{}';  -- the owners of operations that somebody waits for
    is_held boolean[];  -- by number of a call
    was_whole boolean;  -- whether all claims of a call were in flight
    answers json[] := '{}';
    met json[];
    others integer[];
    first integer;
    last integer;
    p integer;
    locked integer := 0;  -- how many places
    count integer;
    row_at record;
BEGIN
    PERFORM set_config('lock_timeout', lock_timeout, true);
    IF NOT :schema.is_current(of_node, on_connection, since, on_server) THEN
        RETURN '{"moved": true}';
    END IF;
    IF size = 0 THEN
        RETURN '{"at": 0, "answers": []}';
    END IF;

    is_held := array_fill(false, ARRAY[w[size].call]);
    FOR i IN 1 .. size LOOP
        IF w[i].states <> '' THEN
            is_settled[w[i].place] := true;
        ELSE
            is_asked[w[i].place] := true;
        END IF;
    END LOOP;
    IF true = ANY (is_asked) THEN
        FOR row_at IN
            SELECT u.place, c.state, c.owner, c.expires_at,
                CASE WHEN older THEN :schema.record(c) ELSE :schema.stored(c) END AS record
            FROM (
                SELECT DISTINCT u.place, u.fingerprint
                FROM unnest(w) AS u
                WHERE is_asked[u.place] AND NOT is_settled[u.place]
            ) AS u
            JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint
        LOOP
            p := row_at.place;
            states[p] := row_at.state;
            owners[p] := row_at.owner;
            expiries[p] := row_at.expires_at;
            records[p] := row_at.record;
        END LOOP;
    END IF;
    FOR i IN 1 .. size LOOP
        p := w[i].place;
        IF w[i].states = '' AND NOT is_settled[p] AND (states[p] = 1 OR expiries[p] > w[i].at) THEN
            is_held[w[i].call] := true;
        END IF;
    END LOOP;
    FOR i IN 1 .. size LOOP
        p := w[i].place;
        IF NOT is_held[w[i].call] AND (inserting[p] = 0 OR w[inserting[p]].states <> '' AND w[i].states = '') THEN
            IF inserting[p] = 0 THEN
                locked := locked + 1;
            ELSE
                is_inserted[inserting[p]] := false;
            END IF;
            inserting[p] := i;
            is_inserted[i] := true;
        END IF;
    END LOOP;

    IF locked > 0 THEN
        PERFORM FROM :schema.nodes WHERE node = of_node AND connection = on_connection AND beats >= since FOR SHARE;
        IF NOT FOUND THEN
            RETURN '{"moved": true}';
        END IF;
        INSERT INTO :schema.claims AS c (
            fingerprint, owner, state, expires_at, unknown_hold, first_seen, node, rule, entry, caller, payload, version,
            link
        )
        SELECT
            u.fingerprint, coalesce(u.owner, ''), 1, forever, coalesce(u.hold, 0), u.at, of_node,
            coalesce(u.rule, ''), coalesce(u.entry, ''), u.caller, u.payload, u.version, u.link
        FROM unnest(w) WITH ORDINALITY AS u
        WHERE is_inserted[u.ordinality]
        ORDER BY u.fingerprint
        ON CONFLICT (fingerprint) DO UPDATE SET state = c.state WHERE false;  -- locks it
        GET DIAGNOSTICS last = ROW_COUNT;
        FOR row_at IN
            SELECT u.place, c.state, c.owner, c.expires_at, c.is_awaited, c.rule, c.first_seen,
                c.xmin = pg_current_xact_id()::xid AS is_mine,
                CASE
                    WHEN NOT is_asked[u.place] OR c.xmin = pg_current_xact_id()::xid THEN NULL
                    WHEN older THEN :schema.record(c)
                    ELSE :schema.stored(c)
                END AS record
            FROM unnest(w) WITH ORDINALITY AS u
            JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint
            WHERE is_inserted[u.ordinality] AND last < locked  -- all of them are new otherwise
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
            IF is_inserted[i] AND (last = locked OR is_mine[p]) THEN
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
            was_whole := true;
            others := '{}';
            FOR i IN first .. last LOOP
                p := w[i].place;
                EXIT WHEN w[i].is_other AND NOT was_whole;
                IF states[p] IS NOT NULL AND strpos(w[i].states, states[p]::text) > 0
                    AND (w[i].owner IS NULL OR owners[p] = w[i].owner)
                THEN
                    IF w[i].is_other IS NULL THEN
                        count := count + 1;
                        was_whole := was_whole AND states[p] = 1;
                    ELSE
                        others := others || i;
                        IF changed[p] > 0 THEN  -- it ended in this batch
                            w[i].link := coalesce(w[i].link, w[changed[p]].link);
                            w[i].answer := w[changed[p]].answer;
                        END IF;
                    END IF;
                    IF is_awaited[p] THEN
                        ended := ended || owners[p];
                        is_awaited[p] := false;
                    END IF;
                    changed[p] := i;
                    expiries[p] := w[i].expires_at;
                    states[p] := nullif(w[i].state, 0);
                ELSE
                    was_whole := was_whole AND w[i].is_other IS NOT NULL;
                END IF;
            END LOOP;
            answers := answers || CASE
                WHEN w[last].is_other THEN json_build_object('settled', count, 'changed', others)
                ELSE to_json(count)
            END;
        END IF;
        first := last + 1;
    END LOOP;

    IF locked > 0 THEN
        PERFORM :schema.apply(of_node, w, changed, is_mine, inserting, were, rules, ages);
    END IF;
    IF array_length(ended, 1) > 0 THEN
        PERFORM :schema.tell(ended);
    END IF;
    RETURN json_build_object(
        'at', coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0), 'answers', array_to_json(answers)
    );
END
$$
