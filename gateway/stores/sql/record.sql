-- A record as JSON, which other statements name ":record".
json_array(
    lower(hex(fingerprint)), lower(hex(owner)), state, lower(hex(caller)), lower(hex(payload)), lower(hex(link)),
    version, rule, entry, first_seen, expires_at, unknown_hold, resource
)
