-- Changes how an operation ended, for the given claims, where it still holds them in a state.
UPDATE claims SET state = ?, expires_at = ?, resource = ?, link = coalesce(?, link)
WHERE fingerprint IN (:places) AND owner = ? AND state = ?
RETURNING fingerprint
