-- What a connection needs to read and write both tables of claims as one. Created at every open; not part of the file.

-- All claims, in flight or settled.
CREATE TEMP VIEW all_claims AS
SELECT fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource, caller, payload
FROM main.claims
UNION ALL
SELECT fingerprint, owner, 1, rule, entry, first_seen, NULL, unknown_hold, NULL, caller, payload
FROM main.in_flight;

-- What one row of a batch changes (write.sql). Inserting into a view with triggers makes all changes of a batch, to both
-- tables, one statement: Python acquires the GIL once, and there is one commit.
CREATE TEMP VIEW batch AS
SELECT NULL AS fingerprint, NULL AS owner, NULL AS state, NULL AS rule, NULL AS entry, NULL AS first_seen,
       NULL AS expires_at, NULL AS unknown_hold, NULL AS resource, NULL AS caller, NULL AS payload, NULL AS answer;

-- A reservation takes a claim only if it is new or expired. The caller has checked that already.
CREATE TEMP TRIGGER reservation INSTEAD OF INSERT ON batch WHEN NEW.state = 1
BEGIN
    DELETE FROM claims WHERE fingerprint = NEW.fingerprint AND expires_at <= NEW.first_seen;
    INSERT INTO in_flight (fingerprint, owner, rule, entry, first_seen, unknown_hold, caller, payload)
    SELECT NEW.fingerprint, NEW.owner, NEW.rule, NEW.entry, NEW.first_seen, NEW.unknown_hold, NEW.caller, NEW.payload
    WHERE NOT EXISTS (SELECT 1 FROM claims WHERE fingerprint = NEW.fingerprint)
    ON CONFLICT DO NOTHING;
END;

-- A settlement (any other state) ends a claim only while its owner holds it in flight. State 0 frees it. NEW.rule is that
-- of the claim: reading it from the table would cost more.
CREATE TEMP TRIGGER settlement INSTEAD OF INSERT ON batch WHEN NEW.state <> 1
BEGIN
    INSERT OR REPLACE INTO claims (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold,
                                   resource, caller, payload, answer)
    SELECT fingerprint, owner, NEW.state, rule, entry, first_seen, NEW.expires_at, unknown_hold, NEW.resource,
           caller, payload, NEW.answer
    FROM in_flight
    WHERE fingerprint = NEW.fingerprint AND owner = NEW.owner AND NEW.state <> 0;
    INSERT INTO counts
    SELECT NEW.rule, NEW.state, 1
    WHERE changes() > 0  -- of the statement before
    ON CONFLICT (rule, state) DO UPDATE SET claims = claims + 1;
    DELETE FROM in_flight WHERE fingerprint = NEW.fingerprint AND owner = NEW.owner;
END;
