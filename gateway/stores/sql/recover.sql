-- At start: whoever held these died before it could say how the operation ended. Never guess: unknown, from now on,
-- or from when they were taken, should the clock say that this is still to come (a machine that boots in 1970).
UPDATE claims
SET state = 3,
    expires_at = iif(
        unknown_hold >= :forever - max(:now, first_seen), :forever, max(:now, first_seen) + unknown_hold
    )
WHERE expires_at IS NULL
