-- Say that this gateway lives. No row where its data has gone back in time, or it has another connection now.
UPDATE :schema.nodes
SET beats = beats + 1, stopped = false
WHERE node = %(node)s AND connection = %(connection)s AND beats >= %(beats)s
RETURNING beats
