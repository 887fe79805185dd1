-- Look after a gateway that has stopped: see abandon.sql.
SELECT :schema.abandon(%(node)s, %(count)s, %(now)s, %(gone)s)
