-- Schema version 5: claims know the identity version of their rule's entry, and by which link the claims of their
-- resource are found. Adding a column changes no row, however large the file is.

ALTER TABLE claims ADD COLUMN version INTEGER;  -- NULL where an earlier release made the claim, or for an Idempotency-Key
ALTER TABLE claims ADD COLUMN link BLOB;        -- a keyed hash; NULL where the rule does not follow resources
ALTER TABLE in_flight ADD COLUMN version INTEGER;
ALTER TABLE in_flight ADD COLUMN link BLOB;

-- Claims without a link are not in it. Those in flight need no index: they are few.
CREATE INDEX claims_by_link ON claims (link) WHERE link IS NOT NULL;
