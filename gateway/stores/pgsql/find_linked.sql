-- The claims of a resource that are held. Each is looked up by itself, whatever the server takes the tables to be like.
SELECT :schema.stored(c)
FROM (
    SELECT fingerprint FROM :schema.linked_claims WHERE link = %(link)s ORDER BY fingerprint
) AS l
CROSS JOIN LATERAL (
    SELECT * FROM :schema.claims AS d WHERE d.fingerprint = l.fingerprint AND d.link = %(link)s OFFSET 0
) AS c
WHERE c.state = 1 OR c.expires_at > %(now)s
ORDER BY l.fingerprint
LIMIT %(most)s
