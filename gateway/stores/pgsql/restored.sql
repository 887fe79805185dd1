-- Note that this gateway has put back what it knows of.
UPDATE :schema.nodes SET restored = %(server)s WHERE node = %(node)s
