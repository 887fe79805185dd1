-- The version of the schema; none where there is no store yet.
SELECT convert_from(value, 'UTF8')::integer FROM :schema.facts WHERE name = 'schema'
