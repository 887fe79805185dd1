-- Which server this is, which one is known to be whole, and how far it has counted its transactions.
SELECT
    :schema.server(),
    (SELECT value FROM :schema.facts WHERE name = 'server'),
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint
