-- Removes the given claims, where they have expired.
DELETE FROM claims WHERE fingerprint IN (:places) AND expires_at <= ?
