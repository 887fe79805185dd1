-- Which operations are in flight still: see await.sql.
SELECT owner, is_awaited FROM :schema.await(%(fingerprints)s, %(owners)s, %(marks)s)
