-- How many claims there are by rule and state. As few are in flight as creates are at work.
SELECT rule, state, sum(number)::bigint FROM :schema.counts GROUP BY rule, state
UNION ALL
SELECT rule, state, count(*) FROM :schema.claims WHERE state = 1 GROUP BY rule, state
