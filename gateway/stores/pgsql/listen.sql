-- Have this session be told of the ends of operations: see write.sql.
LISTEN "idempotency-gateway"
