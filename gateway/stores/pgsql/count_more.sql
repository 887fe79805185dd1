-- Count some more claims: see count.sql.
SELECT :schema.count(%(most)s)
