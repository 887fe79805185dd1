-- The answer stored with one of the given claims, while the operation that it belongs to still holds it.
SELECT answer FROM claims WHERE fingerprint IN (:places) AND owner = ? AND state = 2 AND answer IS NOT NULL
