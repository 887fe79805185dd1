-- What a connection needs to read and write both tables of claims as one. Created at every open; not part of the file.

-- All claims, in flight or settled.
CREATE TEMP VIEW all_claims AS
SELECT fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource, caller, payload, version, link
FROM main.claims
UNION ALL
SELECT fingerprint, owner, 1, rule, entry, first_seen, NULL, unknown_hold, NULL, caller, payload, version, link
FROM main.in_flight;

-- What one row of a batch changes (write.sql): a claim that was free (0), in flight (1) or settled (2, 3) has another state
-- then. Inserting into a view with triggers makes all changes of a batch, to both tables, one statement: Python acquires
-- the GIL once, and there is one commit. Where there is none, a text is '' and the version -1 (see rows.py).
CREATE TEMP VIEW batch AS
SELECT NULL AS fingerprint, NULL AS owner, NULL AS was, NULL AS state, NULL AS rule, NULL AS entry, NULL AS first_seen,
       NULL AS expires_at, NULL AS unknown_hold, NULL AS resource, NULL AS caller, NULL AS payload, NULL AS answer,
       NULL AS version, NULL AS link;

-- A reservation takes a claim only if it is new or expired. The caller has checked that already.
CREATE TEMP TRIGGER reservation INSTEAD OF INSERT ON batch WHEN NEW.was = 0
BEGIN
    DELETE FROM claims WHERE fingerprint = NEW.fingerprint AND expires_at <= NEW.first_seen;
    INSERT INTO in_flight (fingerprint, owner, rule, entry, first_seen, unknown_hold, caller, payload, version, link)
    SELECT NEW.fingerprint, NEW.owner, NEW.rule, NEW.entry, NEW.first_seen, NEW.unknown_hold,
           iif(NEW.caller = '', NULL, NEW.caller), iif(NEW.payload = '', NULL, NEW.payload),
           iif(NEW.version < 0, NULL, NEW.version), iif(NEW.link = '', NULL, NEW.link)
    WHERE NOT EXISTS (SELECT 1 FROM claims WHERE fingerprint = NEW.fingerprint)
    ON CONFLICT DO NOTHING;
END;

-- A settlement ends a claim only while its owner holds it in flight. State 0 frees it. Without a link of its own it leaves
-- that of the reservation. NEW.rule is that of the claim: reading it from the table would cost more.
CREATE TEMP TRIGGER settlement INSTEAD OF INSERT ON batch WHEN NEW.was = 1
BEGIN
    INSERT OR REPLACE INTO claims (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold,
                                   resource, caller, payload, answer, version, link)
    SELECT fingerprint, owner, NEW.state, rule, entry, first_seen, NEW.expires_at, unknown_hold, NEW.resource,
           caller, payload, iif(NEW.answer = '', NULL, NEW.answer), version, iif(NEW.link = '', link, NEW.link)
    FROM in_flight
    WHERE fingerprint = NEW.fingerprint AND owner = NEW.owner AND NEW.state <> 0;
    INSERT INTO counts
    SELECT NEW.rule, NEW.state, 1
    WHERE changes() > 0  -- of the statement before
    ON CONFLICT (rule, state) DO UPDATE SET claims = claims + 1;
    DELETE FROM in_flight WHERE fingerprint = NEW.fingerprint AND owner = NEW.owner;
END;

-- A settlement may change claims of other operations, where these still hold them as they were. Triggers of the file count.
CREATE TEMP TRIGGER change INSTEAD OF INSERT ON batch WHEN NEW.was > 1
BEGIN
    DELETE FROM claims
    WHERE fingerprint = NEW.fingerprint AND owner = NEW.owner AND state = NEW.was AND NEW.state = 0;
    UPDATE claims
    SET state = NEW.state, expires_at = NEW.expires_at, resource = NEW.resource, link = iif(NEW.link = '', link, NEW.link)
    WHERE fingerprint = NEW.fingerprint AND owner = NEW.owner AND state = NEW.was AND NEW.state <> 0;
END;

-- Claims that are settled when they come (add.sql): all of them, or none when one is held, or was and has expired. A view of
-- its own, because each row of a batch pays for each trigger of that one.
CREATE TEMP VIEW added AS SELECT * FROM main.claims;

CREATE TEMP TRIGGER addition INSTEAD OF INSERT ON added WHEN NEW.state <> 0
BEGIN
    SELECT RAISE(ABORT, 'a claim is in flight') FROM in_flight WHERE fingerprint = NEW.fingerprint;
    INSERT INTO claims (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold,
                        resource, caller, payload, answer, version, link)
    VALUES (NEW.fingerprint, NEW.owner, NEW.state, NEW.rule, NEW.entry, NEW.first_seen, NEW.expires_at, NEW.unknown_hold,
            NEW.resource, NEW.caller, NEW.payload, NEW.answer, NEW.version, NEW.link);
    INSERT INTO counts
    VALUES (NEW.rule, NEW.state, 1)
    ON CONFLICT (rule, state) DO UPDATE SET claims = claims + 1;
END;
