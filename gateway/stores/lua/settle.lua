-- Write how an operation ended, for those of its claims that it still holds: in flight, or unknown because its node
-- seemed to have stopped.
--
-- When somebody waits for one of them, its owner is told to all gateways. That is a hint: a user without the right to
-- send it settles all the same.
--
-- KEYS: as of reserve.lua. ARGV: the server's run id, the owner, which states are settled ("14"), the answer; then for
-- each claim its new state ("0" frees it), expiry, and length of the link with the link.
-- Returns {"moved"}, or {"ok", commits, how many claims were settled}.
local base = string.sub(KEYS[1], 1, -7)
local known = redis.call('MGET', KEYS[1], base .. 'counted')
if known[1] ~= ARGV[1] then
    return {'moved'}
end
local owner, states, answer = ARGV[2], ARGV[3], ARGV[4]
local settled, is_awaited = 0, false
for at = 1, (#ARGV - 4) / 3 do
    local key = KEYS[3 + 2 * at]
    local record = redis.call('GET', key)
    if record and string.sub(record, 2, 17) == owner and string.find(states, string.sub(record, 1, 1), 1, true) then
        local fingerprint = string.sub(key, -32)
        local state, expires, link = ARGV[2 + 3 * at], ARGV[3 + 3 * at], ARGV[4 + 3 * at]
        local was_in_flight = string.byte(record) == 49
        local rest, new
        settled = settled + 1
        is_awaited = is_awaited or string.sub(record, 56, 60) == '----+'
        if state == '0' then
            redis.call('DEL', key, KEYS[4 + 2 * at])
        else
            -- First what takes memory: a server that has none left refuses it, and then nothing has changed.
            local length = tonumber(string.sub(record, 56, 60)) or 0
            rest = string.sub(record, 61 + length)
            new = state .. owner .. expires .. string.sub(record, 37, 55) .. link .. rest
            redis.call('SET', key, new)
            if state == '2' and answer ~= '' then
                redis.call('SET', KEYS[4 + 2 * at], owner .. answer)
                answer = ''
            end
        end
        redis.call('SREM', KEYS[3], fingerprint)
        redis.call('ZREM', KEYS[4], string.sub(record, 18, 36) .. fingerprint)
        if new then
            redis.call('ZADD', KEYS[4], 0, expires .. fingerprint)
        end
        if was_in_flight and state == '2' and known[2] == 'all' and string.byte(rest, 2) < 0xc0 then
            -- What becomes of most claims, in fewer steps: the rule is a short text. See counting.lua.
            redis.call('HINCRBY', base .. 'counts', '2' .. string.sub(rest, 3, string.byte(rest, 2) - 158), '1')
        elseif new or not was_in_flight then
--:counting
            note(record, fingerprint, -1)
            if new then
                note(new, fingerprint, 1)
            end
            write_counts()
        end
    end
end
if is_awaited then
    redis.pcall('PUBLISH', base .. 'ended', owner)
end
return {'ok', redis.call('INCRBY', KEYS[2], '1024'), settled}
