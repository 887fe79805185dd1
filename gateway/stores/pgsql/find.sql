-- What is stored under fingerprints.
SELECT :schema.record(c) FROM :schema.claims AS c WHERE fingerprint = ANY (%(fingerprints)s)
