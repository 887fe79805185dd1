-- Which fingerprint key the claims in this file were made with: a keyed hash, which gives nothing away.
SELECT value FROM facts WHERE name = 'key_check'
