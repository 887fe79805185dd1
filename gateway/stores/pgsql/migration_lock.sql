-- One gateway at a time brings a schema up to date; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('idempotency-gateway ' || %(schema)s, 0))
