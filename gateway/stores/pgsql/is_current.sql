-- Whether a gateway's call may be carried out: the server is the one that is known to be whole, and what is asked came on
-- the last connection of the gateway. See write.sql.
CREATE OR REPLACE FUNCTION :schema.is_current(of_node bytea, on_connection bigint, since bigint, on_server bytea)
RETURNS boolean LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN on_server = :schema.server()
        AND EXISTS (SELECT FROM :schema.facts WHERE name = 'server' AND value = on_server)
        AND EXISTS (
            SELECT FROM :schema.nodes WHERE node = of_node AND connection = on_connection AND beats >= since
        );
END
$$
