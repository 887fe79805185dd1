-- Add claims that are settled already: see add.sql.
SELECT :schema.add(
    %(node)s, %(connection)s, %(beats)s, %(server)s, %(wait)s, %(batch)s::json, %(now)s
)::text
