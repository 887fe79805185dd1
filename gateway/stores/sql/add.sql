-- Adds claims that are settled already, in one statement and so in one commit (see batch.sql).
INSERT INTO added (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource,
                   caller, payload, answer, version, link)
VALUES :places
