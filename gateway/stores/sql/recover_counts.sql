-- Counts what recover.sql has added.
INSERT INTO counts
SELECT rule, 3, count(*)
FROM in_flight
WHERE true
GROUP BY rule
ON CONFLICT (rule, state) DO UPDATE SET claims = claims + excluded.claims
