-- All writes of one batch, in order, in one statement and so in one commit.
-- A reservation (state 1) writes a row only if it is new or expired; the caller has checked that already.
-- A settlement (any other state) changes a row only while its owner holds it in flight, and never inserts one.
WITH batch (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource,
            caller, payload, answer) AS (VALUES :places)
INSERT INTO claims (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource,
                    caller, payload, answer)
SELECT * FROM batch
WHERE batch.state = 1
   OR EXISTS (SELECT 1 FROM claims AS held WHERE held.fingerprint = batch.fingerprint)
ON CONFLICT (fingerprint) DO UPDATE SET
    owner        = excluded.owner,
    state        = excluded.state,
    rule         = iif(excluded.state = 1, excluded.rule, rule),
    entry        = iif(excluded.state = 1, excluded.entry, entry),
    first_seen   = iif(excluded.state = 1, excluded.first_seen, first_seen),
    expires_at   = excluded.expires_at,
    unknown_hold = iif(excluded.state = 1, excluded.unknown_hold, unknown_hold),
    resource     = excluded.resource,
    caller       = iif(excluded.state = 1, excluded.caller, caller),
    payload      = iif(excluded.state = 1, excluded.payload, payload),
    answer       = excluded.answer
WHERE iif(excluded.state = 1,
          claims.expires_at <= excluded.first_seen,
          claims.state = 1 AND claims.owner = excluded.owner)
