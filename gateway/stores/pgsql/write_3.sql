-- What gateways of version 3 of the schema call, whose claims have neither a version nor a link: see write.sql.
CREATE OR REPLACE FUNCTION :schema.write(
    of_node bytea, on_connection bigint, since bigint, on_server bytea, lock_timeout text, batch json
) RETURNS json LANGUAGE sql VOLATILE
AS $$SELECT :schema.write(of_node, on_connection, since, on_server, lock_timeout, batch, true)$$
