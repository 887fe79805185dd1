-- What is stored under a fingerprint.
SELECT :schema.stored(c) FROM :schema.claims AS c WHERE fingerprint = %(fingerprint)s
