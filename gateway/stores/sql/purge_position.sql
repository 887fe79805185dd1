-- The last of the rows that a purge step looks at; none when fewer are left.
SELECT fingerprint FROM claims WHERE fingerprint > :after ORDER BY fingerprint LIMIT 1 OFFSET :rows - 1
