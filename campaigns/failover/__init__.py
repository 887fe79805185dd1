# A Valkey server that fails, is cut off, or loses what it confirmed: see __main__.py.
