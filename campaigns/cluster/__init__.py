# Several gateways on one store: see __main__.py.
