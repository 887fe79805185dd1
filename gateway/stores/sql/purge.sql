-- One small step: rows whose time has come, oldest first. In-flight rows have no time and are never among them.
DELETE FROM claims
WHERE fingerprint IN (SELECT fingerprint FROM claims WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit)
RETURNING state
