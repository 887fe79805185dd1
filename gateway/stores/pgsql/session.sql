-- The session that a statement runs in: another one than was promised at connecting, where a pooler is in between.
SELECT pg_backend_pid()
