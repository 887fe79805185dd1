-- Of the next :rows claims in flight, in order of fingerprint, how many there are of each rule, and the last of those.
SELECT rule, count(*), max(fingerprint)
FROM (SELECT fingerprint, rule FROM in_flight WHERE fingerprint > :after ORDER BY fingerprint LIMIT :rows)
GROUP BY rule
