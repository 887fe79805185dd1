-- Carry out a batch of calls: see write.sql.
SELECT :schema.write(
    %(node)s, %(connection)s, %(beats)s, %(server)s, %(wait)s, %(batch)s::json, false
)::text
