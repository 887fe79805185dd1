-- The count of each gateway.
SELECT node, beats FROM :schema.nodes
