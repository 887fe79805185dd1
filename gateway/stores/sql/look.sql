-- What is stored under any of these fingerprints, free rows aside. Decides nothing: the caller judges by its clock.
SELECT fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource
FROM claims
WHERE state <> 0 AND fingerprint IN (:places)
