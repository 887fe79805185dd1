-- At start: the process that held these claims died before it could settle them, so their outcome is unknown. Their hold
-- is counted from now, or from first_seen if that is later (a machine whose clock starts in 1970).
UPDATE claims
SET state = 3,
    expires_at = iif(
        unknown_hold >= :forever - max(:now, first_seen), :forever, max(:now, first_seen) + unknown_hold
    )
WHERE expires_at IS NULL
