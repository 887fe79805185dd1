-- A stored claim, as gateways read it.
CREATE OR REPLACE FUNCTION :schema.stored(c :schema.claims) RETURNS json LANGUAGE sql STABLE
AS $$
SELECT json_build_array(
    encode(c.fingerprint, 'hex'), encode(c.owner, 'hex'), c.state, c.expires_at, c.unknown_hold, c.first_seen,
    encode(c.rule, 'hex'), encode(c.entry, 'hex'), encode(c.resource, 'hex'), encode(c.caller, 'hex'),
    encode(c.payload, 'hex'), c.version, encode(c.link, 'hex')
)
$$
