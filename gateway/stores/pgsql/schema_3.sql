-- How many claims there are: the sums of `number` by rule and state, which is 2, or 3 for 3 and 4. Those in flight are
-- counted when somebody asks. See note.sql for why a session has rows of its own, and others after some seconds.
CREATE TABLE :schema.counts (
    session integer NOT NULL,
    period bigint NOT NULL,
    rule bytea NOT NULL,
    state smallint NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (session, period, rule, state)
) WITH (fillfactor = 50);

-- The claims of unknown outcome by age. An index of `claims` could not be made without stopping creates for a while.
CREATE TABLE :schema.unknown_claims (
    rule bytea,
    first_seen bigint,
    fingerprint bytea,
    PRIMARY KEY (rule, first_seen, fingerprint)
);

-- Up to which fingerprint claims are counted: see count.sql. It is greater than all of them when that is done.
INSERT INTO :schema.facts (name, value)
SELECT 'counted', CASE WHEN EXISTS (SELECT FROM :schema.claims) THEN '' ELSE decode(repeat('ff', 33), 'hex') END;
