-- What schema version 2 adds, for retries. Adding a column changes no row, however large the file is.

ALTER TABLE claims ADD COLUMN caller BLOB;   -- a keyed hash of who sent the create; NULL for an anonymous caller
ALTER TABLE claims ADD COLUMN payload BLOB;  -- a keyed hash of what was sent; NULL where the rule has no retries
ALTER TABLE claims ADD COLUMN answer BLOB;   -- the API's answer, encrypted, with the first claim of its operation
