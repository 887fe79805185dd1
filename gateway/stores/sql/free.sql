-- Frees the given claims, where an operation still holds them in a state.
DELETE FROM claims WHERE fingerprint IN (:places) AND owner = ? AND state = ? RETURNING fingerprint
