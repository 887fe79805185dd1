-- Write how an operation ended, for those of its claims that it still holds: in flight, or unknown because its node
-- seemed to have stopped.
--
-- When somebody waits for one of them, its owner is told to all gateways. That is a hint: a user without the right to
-- send it settles all the same.
--
-- KEYS: as of reserve.lua. ARGV: the server's run id, the owner, which states are settled ("14"), the answer; then for
-- each claim its new state ("0" frees it), expiry, and length of the link with the link.
-- Returns {"moved"}, or {"ok", commits, how many claims were settled}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:counting
local owner, states, answer = ARGV[2], ARGV[3], ARGV[4]
local settled, is_awaited = 0, false
for at = 1, (#ARGV - 4) / 3 do
    local key = KEYS[4 + 2 * at]
    local record = redis.call('GET', key)
    if record and string.sub(record, 2, 17) == owner and string.find(states, string.sub(record, 1, 1), 1, true) then
        local fingerprint = string.sub(key, -32)
        local state, expires, link = ARGV[2 + 3 * at], ARGV[3 + 3 * at], ARGV[4 + 3 * at]
        local new
        settled = settled + 1
        is_awaited = is_awaited or string.sub(record, 56, 60) == '----+'
        if state == '0' then
            redis.call('DEL', key, KEYS[5 + 2 * at])
        else
            -- First what takes memory: a server that has none left refuses it, and then nothing has changed.
            local length = tonumber(string.sub(record, 56, 60)) or 0
            local rest = string.sub(record, 61 + length)
            new = state .. owner .. expires .. string.sub(record, 37, 55) .. link .. rest
            redis.call('SET', key, new)
            if state == '2' and answer ~= '' then
                redis.call('SET', KEYS[5 + 2 * at], owner .. answer)
                answer = ''
            end
        end
        redis.call('SREM', KEYS[3], fingerprint)
        redis.call('ZREM', KEYS[4], string.sub(record, 18, 36) .. fingerprint)
        note(record, fingerprint, -1)
        if new then
            redis.call('ZADD', KEYS[4], 0, expires .. fingerprint)
            note(new, fingerprint, 1)
        end
    end
end
if is_awaited then
    redis.pcall('PUBLISH', (string.gsub(KEYS[1], 'server$', 'ended')), owner)
end
return {'ok', commit(KEYS[2]), settled}
