-- One purge step: expired rows, oldest first. Rows in flight have no expiry and are never removed.
DELETE FROM claims
WHERE fingerprint IN (SELECT fingerprint FROM claims WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit)
RETURNING state
