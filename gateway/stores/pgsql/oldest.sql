-- When the oldest claim of unknown outcome of each rule was first seen. The rules are found one after the other, so that
-- it does not matter how many claims there are.
WITH RECURSIVE oldest AS (
    (SELECT rule, first_seen FROM :schema.unknown_claims ORDER BY rule, first_seen LIMIT 1)
    UNION ALL
    SELECT n.rule, n.first_seen
    FROM oldest AS o
    CROSS JOIN LATERAL (
        SELECT rule, first_seen FROM :schema.unknown_claims WHERE rule > o.rule ORDER BY rule, first_seen LIMIT 1
    ) AS n
)
SELECT rule, first_seen FROM oldest
