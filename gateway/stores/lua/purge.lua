-- Remove expired claims, the oldest first.
--
-- KEYS: as of reserve.lua, without claims. ARGV: the server's run id, the time, how many at most, what the names of
-- claims and of answers begin with. Returns {"moved"}, or {"ok", commits, removed, how many of them were unknown}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:counting
--:linking
local due = redis.call('ZRANGEBYLEX', KEYS[4], '-', '[' .. ARGV[2] .. string.rep('\255', 33), 'LIMIT', 0, ARGV[3])
local removed, unknown = 0, 0
for _, member in ipairs(due) do
    local fingerprint = string.sub(member, 20)
    local record = redis.call('GET', ARGV[4] .. fingerprint)
    if record and string.sub(record, 1, 1) ~= '1' and string.sub(record, 18, 36) == string.sub(member, 1, 19) then
        redis.call('DEL', ARGV[4] .. fingerprint, ARGV[5] .. fingerprint)
        note(record, fingerprint, -1)
        unlink(record, fingerprint)
        removed = removed + 1
        local state = string.sub(record, 1, 1)
        if state == '3' or state == '4' then
            unknown = unknown + 1
        end
    end
    redis.call('ZREM', KEYS[4], member)
end
return {'ok', commit(KEYS[2]), removed, unknown}
