-- What the server is, and how a transaction begins on it.
SELECT
    pg_is_in_recovery(), current_setting('default_transaction_read_only'),
    current_setting('default_transaction_isolation'), current_setting('client_encoding')
