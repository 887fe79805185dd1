-- Identifies the fingerprint key used in this file: a keyed hash, which does not reveal the key.
SELECT value FROM facts WHERE name = 'key_check'
