-- The version of a claim's identity, and the keyed hash by which the claims of a resource are found. What a call sends of
-- them; and whether a claim is of another operation than the call's own, and only changes with it: see write.sql.
ALTER TABLE :schema.claims ADD COLUMN version integer, ADD COLUMN link bytea;
ALTER TYPE :schema.wanted ADD ATTRIBUTE version integer, ADD ATTRIBUTE link bytea, ADD ATTRIBUTE is_other boolean;

-- The claims that have a link, by it: see linked.sql. An index of `claims` could not be made without stopping creates for
-- a while; and none that is older than this has one.
CREATE TABLE :schema.linked_claims (link bytea, fingerprint bytea, PRIMARY KEY (link, fingerprint))
WITH (autovacuum_vacuum_scale_factor = 0.05);
