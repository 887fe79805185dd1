-- Put back what a gateway knows of: see restore.sql.
SELECT :schema.restore(%(node)s, %(connection)s, %(batch)s::json)::text
