-- Add claims that are settled already, each where nothing is held.
--
-- KEYS: as of reserve.lua. ARGV: the server's run id, the time; then for each claim its record, the answer that is stored
-- with it, and `left` of linking.lua.
-- Returns {"moved"}, or {"ok", commits, number and record of each claim that is held}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:counting
--:linking
local result = {'ok', 0}
for at = 1, (#KEYS - 4) / 2 do
    local key, answers = KEYS[3 + 2 * at], KEYS[4 + 2 * at]
    local record, answer, left = ARGV[3 * at], ARGV[1 + 3 * at], ARGV[2 + 3 * at]
    local there = redis.call('GET', key)
    if there and (string.sub(there, 1, 1) == '1' or string.sub(there, 18, 36) > ARGV[2]) then
        result[#result + 1] = at
        result[#result + 1] = there
    else
        local fingerprint = string.sub(key, -32)
        redis.call('SET', key, record) -- first what takes memory: see settle.lua
        if there then
            redis.call('ZREM', KEYS[4], string.sub(there, 18, 36) .. fingerprint)
            redis.call('DEL', answers)
            unlink(there, fingerprint)
            note(there, fingerprint, -1)
        end
        redis.call('ZADD', KEYS[4], 0, string.sub(record, 18, 36) .. fingerprint)
        if answer ~= '' then
            redis.call('SET', answers, string.sub(record, 2, 17) .. answer)
        end
        link(record, fingerprint, left)
        note(record, fingerprint, 1)
    end
end
result[2] = commit(KEYS[2])
return result
