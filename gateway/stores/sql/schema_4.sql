-- Schema version 4: what operators ask for is found without walking the large table. A create pays for one small row.

-- How many rows of claims there are, by rule and state; a count may be 0. Rows are added by batch.sql and recover.sql,
-- which count them; a trigger for that would make a copy of every row that is inserted.
CREATE TABLE counts (
    rule   TEXT    NOT NULL,
    state  INTEGER NOT NULL,
    claims INTEGER NOT NULL,
    PRIMARY KEY (rule, state)
) WITHOUT ROWID;

-- Not GROUP BY, which would sort all rows: ten million would need a file for that.
INSERT INTO counts
SELECT rule, state, 1
FROM claims
WHERE true
ON CONFLICT (rule, state) DO UPDATE SET claims = claims + 1;

CREATE TRIGGER claim_removed AFTER DELETE ON claims
BEGIN
    UPDATE counts SET claims = claims - 1 WHERE rule = OLD.rule AND state = OLD.state;
END;

CREATE TRIGGER claim_changed AFTER UPDATE OF state ON claims
BEGIN
    UPDATE counts SET claims = claims - 1 WHERE rule = OLD.rule AND state = OLD.state;
    INSERT INTO counts
    VALUES (NEW.rule, NEW.state, 1)
    ON CONFLICT (rule, state) DO UPDATE SET claims = claims + 1;
END;

-- Claims of unknown outcome, the oldest first. Created claims are in neither index. The second one has all that counts.sql
-- asks for.
CREATE INDEX unknown_by_age ON claims (first_seen) WHERE state = 3;
CREATE INDEX unknown_by_rule ON claims (rule, first_seen, fingerprint, expires_at, state) WHERE state = 3;
