-- Make this connection the one of its gateway: what an earlier one still does ends first, or never begins. Returns how
-- far the gateway had counted.
INSERT INTO :schema.nodes AS n (node, connection, beats) VALUES (%(node)s, %(connection)s, 0)
ON CONFLICT (node) DO UPDATE SET connection = excluded.connection
RETURNING beats
