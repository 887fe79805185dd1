-- At start: the process that held these claims died before it could settle them, so their outcome is unknown. Their hold
-- is counted from now, or from first_seen if that is later (a machine whose clock starts in 1970).
INSERT OR REPLACE INTO claims (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold,
                               caller, payload, version, link)
SELECT fingerprint, owner, 3, rule, entry, first_seen,
       iif(unknown_hold >= :forever - max(:now, first_seen), :forever, max(:now, first_seen) + unknown_hold),
       unknown_hold, caller, payload, version, link
FROM in_flight
