-- Let this transaction wait for locks only so long: whoever asked is gone by then, and would leave a session behind.
SELECT set_config('lock_timeout', %(wait)s, true)
