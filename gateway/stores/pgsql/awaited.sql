-- Of each other gateway that lives, whether it has put back what it knows of.
SELECT restored IS NOT DISTINCT FROM %(server)s FROM :schema.nodes WHERE node <> %(node)s AND NOT stopped
