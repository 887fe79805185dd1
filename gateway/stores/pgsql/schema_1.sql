-- The first version of the schema, whose functions are in files of their own, such as write.sql.
--
-- Texts are kept as bytes: no encoding of a database may refuse one. A state of 4 is unknown, too: its node seemed to
-- have stopped, and may settle it all the same.
CREATE TABLE :schema.facts (name text PRIMARY KEY, value bytea NOT NULL);

CREATE TABLE :schema.claims (
    fingerprint bytea PRIMARY KEY,
    owner bytea NOT NULL,
    state smallint NOT NULL,
    expires_at bigint NOT NULL,
    unknown_hold bigint NOT NULL,
    first_seen bigint NOT NULL,
    node bytea NOT NULL,
    rule bytea NOT NULL,
    entry bytea NOT NULL,
    resource bytea,
    caller bytea,
    payload bytea,
    answer bytea
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- Answers are encrypted: compressing them would be in vain.
ALTER TABLE :schema.claims ALTER COLUMN answer SET STORAGE EXTERNAL;

-- What a stopped node leaves behind is found without reading the whole table.
CREATE INDEX in_flight ON :schema.claims (node) WHERE state = 1;

-- Of each gateway: the token of its connection, a count that grows while it lives, and whether it seems to have stopped.
CREATE TABLE :schema.nodes (
    node bytea PRIMARY KEY,
    connection bigint NOT NULL,
    beats bigint NOT NULL,
    stopped boolean NOT NULL DEFAULT false
);

-- One claim of a call, as a gateway sends it: the number of the call and of the fingerprint, and what the call is. Its
-- `states` are what it settles, as "14"; empty for a reservation.
CREATE TYPE :schema.wanted AS (
    call integer,
    place integer,
    fingerprint bytea,
    owner bytea,
    states text,
    at bigint,
    rule bytea,
    entry bytea,
    hold bigint,
    caller bytea,
    payload bytea,
    state smallint,
    expires_at bigint,
    resource bytea,
    answer bytea
);
