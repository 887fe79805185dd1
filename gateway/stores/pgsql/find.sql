-- What is stored under fingerprints.
SELECT :schema.stored(c) FROM :schema.claims AS c WHERE fingerprint = ANY (%(fingerprints)s)
