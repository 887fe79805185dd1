-- Write what a batch has decided: of each place which claim `changed` it last, 0 for none, and of each claim the state that
-- it is to have. Called by write.sql alone, which has locked them, and says what it found: which ones it has inserted, for
-- which claim, and of the others their states, and what those that are counted are counted with.
CREATE OR REPLACE FUNCTION :schema.apply(
    of_node bytea, w :schema.wanted[], changed integer[], is_mine boolean[], inserting integer[], were smallint[],
    rules bytea[], ages bigint[]
) RETURNS void LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    forever CONSTANT bigint := 9223372036854775807;
    size CONSTANT integer := array_length(w, 1);
    is_taken boolean[];  -- by number of a claim: whether it is reserved in a row that was there
    is_ended boolean[];
    freed bytea[] := '{}';
    is_usual boolean := true;  -- whether all that ended were in flight, and are created
    p integer;
    noted record;
BEGIN
    FOR i IN 1 .. size LOOP
        p := w[i].place;
        IF changed[p] = i THEN
            IF w[i].states = '' THEN
                IF NOT (is_mine[p] AND inserting[p] = i) THEN
                    is_taken[i] := true;
                END IF;
            ELSIF w[i].state = 0 THEN
                freed := freed || w[i].fingerprint;
            ELSE
                is_ended[i] := true;
                is_usual := is_usual AND coalesce(were[p] = 1, false) AND w[i].state = 2;
            END IF;
        ELSIF is_mine[p] AND inserting[p] = i AND changed[p] = 0 THEN
            freed := freed || w[i].fingerprint;
        END IF;
    END LOOP;
    IF is_taken IS NOT NULL THEN
        UPDATE :schema.claims AS c
        SET owner = u.owner, state = 1, expires_at = forever, unknown_hold = u.hold, first_seen = u.at,
            node = of_node, rule = u.rule, entry = u.entry, resource = NULL, caller = u.caller, payload = u.payload,
            answer = NULL, is_awaited = false, version = u.version, link = u.link
        FROM unnest(w) WITH ORDINALITY AS u
        WHERE is_taken[u.ordinality] AND c.fingerprint = u.fingerprint;
        PERFORM :schema.note(
            array_agg(u.fingerprint), array_agg(rules[u.place]), array_agg(ages[u.place]), array_agg(were[u.place]),
            array_agg(1::smallint)
        )
        FROM unnest(w) WITH ORDINALITY AS u
        WHERE is_taken[u.ordinality] AND were[u.place] > 1
        HAVING count(*) > 0;
    END IF;
    IF is_ended IS NOT NULL THEN
        is_usual := is_usual AND (SELECT length(value) = 33 FROM :schema.facts WHERE name = 'counted');
        WITH ended AS (
            UPDATE :schema.claims AS c
            SET state = u.state, expires_at = u.expires_at, resource = u.resource,
                answer = coalesce(u.answer, c.answer), is_awaited = false, link = coalesce(u.link, c.link)
            FROM unnest(w) WITH ORDINALITY AS u
            WHERE is_ended[u.ordinality] AND c.fingerprint = u.fingerprint
            RETURNING c.fingerprint, c.rule, c.first_seen, were[u.place] AS was, c.state
        ), counted AS (
            INSERT INTO :schema.counts AS c (session, period, rule, state, number)
            SELECT pg_backend_pid(), :schema.period(), rule, 2, count(*) FROM ended WHERE is_usual GROUP BY rule
            ON CONFLICT (session, period, rule, state) DO UPDATE SET number = c.number + excluded.number
        )
        SELECT
            array_agg(fingerprint) AS fingerprints, array_agg(rule) AS rules, array_agg(first_seen) AS ages,
            array_agg(was) AS were, array_agg(state) AS are
        INTO noted
        FROM ended
        WHERE NOT is_usual;
        IF NOT is_usual THEN
            PERFORM :schema.note(noted.fingerprints, noted.rules, noted.ages, noted.were, noted.are);
        END IF;
    END IF;
    IF array_length(freed, 1) > 0 THEN
        DELETE FROM :schema.claims WHERE fingerprint = ANY (freed);
    END IF;
END
$$
