-- Remove this gateway, unless it leaves something in flight behind.
DELETE FROM :schema.nodes
WHERE node = %(node)s AND NOT EXISTS (SELECT FROM :schema.claims WHERE node = %(node)s AND state = 1)
