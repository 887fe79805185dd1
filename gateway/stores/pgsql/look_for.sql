-- Which operations are in flight still: see await.sql.
SELECT :schema.await(%(fingerprints)s, %(owners)s, %(marks)s)
