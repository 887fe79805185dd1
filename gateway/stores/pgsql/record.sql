-- A stored claim, as gateways of version 3 of the schema read it, and no other one could: see stored.sql.
CREATE OR REPLACE FUNCTION :schema.record(c :schema.claims) RETURNS json LANGUAGE sql STABLE
AS $$
SELECT json_build_array(
    encode(c.fingerprint, 'hex'), encode(c.owner, 'hex'), c.state, c.expires_at, c.unknown_hold, c.first_seen,
    encode(c.rule, 'hex'), encode(c.entry, 'hex'), encode(c.resource, 'hex'), encode(c.caller, 'hex'),
    encode(c.payload, 'hex')
)
$$
