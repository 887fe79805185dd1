-- The last of the rows that a purge step looks at; none when fewer are left.
SELECT fingerprint FROM :schema.claims WHERE fingerprint > %(after)s ORDER BY fingerprint LIMIT 1 OFFSET %(rows)s - 1
