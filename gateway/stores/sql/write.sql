-- All writes of one batch, in order, in one statement and so in one commit (see batch.sql).
INSERT INTO batch (fingerprint, owner, was, state, rule, entry, first_seen, expires_at, unknown_hold, resource,
                   caller, payload, answer, version, link)
VALUES :places
