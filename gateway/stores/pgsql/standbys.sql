-- For which standbys a commit waits, and which there are: how many in all, synchronous ones, and some of unknown state,
-- as for a user without the rights of pg_monitor.
SELECT
    current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
    count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'),
    count(*) FILTER (WHERE sync_state IS NULL)
FROM pg_stat_replication
