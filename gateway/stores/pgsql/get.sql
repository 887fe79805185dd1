-- What is stored under a fingerprint.
SELECT :schema.record(c) FROM :schema.claims AS c WHERE fingerprint = %(fingerprint)s
