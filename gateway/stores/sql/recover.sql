-- At start: whoever held these died before it could say how the operation ended. Never guess: unknown, from now on.
UPDATE claims
SET state = 3,
    expires_at = iif(unknown_hold >= :forever - :now, :forever, :now + unknown_hold)
WHERE expires_at IS NULL
