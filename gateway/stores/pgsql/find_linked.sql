-- The claims of a resource that are held.
SELECT :schema.stored(c)
FROM :schema.linked_claims AS l
JOIN :schema.claims AS c ON c.fingerprint = l.fingerprint AND c.link = l.link
WHERE l.link = %(link)s AND (c.state = 1 OR c.expires_at > %(now)s)
ORDER BY l.fingerprint
LIMIT %(most)s
