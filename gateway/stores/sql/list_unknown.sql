-- The next claims of unknown outcome after a position, the oldest first, expired ones too, as one row of JSON.
SELECT json_group_array(:record)
FROM (
    SELECT *
    FROM claims INDEXED BY unknown_by_age
    WHERE state = 3 AND (first_seen, fingerprint) > (:first_seen, :fingerprint) AND first_seen < :before
    ORDER BY first_seen, fingerprint
    LIMIT :rows
)
