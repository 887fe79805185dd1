-- Tell all gateways which operations have ended that somebody waits for, once this is committed.
--
-- A message has at most 8000 bytes. Commits that send one wait for each other, in the whole server; and where somebody
-- does not take his, and its queue is full, they fail. So it is left out long before that: it is only a hint.
CREATE OR REPLACE FUNCTION :schema.tell(owners bytea[]) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF array_length(owners, 1) > 0 AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('idempotency-gateway', string_agg(encode(owner, 'hex'), ' '))
        FROM unnest(owners) WITH ORDINALITY AS u (owner, number)
        GROUP BY number / 200;
    END IF;
END
$$
