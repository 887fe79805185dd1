-- The answers stored with the given claims, with the owner that each belongs to, as one row of JSON (see lookup.sql).
SELECT json_group_array(json_array(lower(hex(fingerprint)), lower(hex(owner)), lower(hex(answer))))
FROM claims
WHERE fingerprint IN (:places) AND answer IS NOT NULL
