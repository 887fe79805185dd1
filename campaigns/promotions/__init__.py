# Gateways on a PostgreSQL server that fails: see __main__.py.
