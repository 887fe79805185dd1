-- Free a claim that is not in flight.
--
-- KEYS: as of reserve.lua, with one claim. ARGV: the server's run id. Returns {"moved"}, or {"ok", commits, 0 or 1}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:counting
--:linking
local record = redis.call('GET', KEYS[5])
if not record or string.sub(record, 1, 1) == '1' then
    return {'ok', commit(KEYS[2]), 0}
end
redis.call('DEL', KEYS[5], KEYS[6])
local fingerprint = string.sub(KEYS[5], -32)
redis.call('ZREM', KEYS[4], string.sub(record, 18, 36) .. fingerprint)
note(record, fingerprint, -1)
unlink(record, fingerprint)
return {'ok', commit(KEYS[2]), 1}
