-- Leave the outcome of what a node had in flight unknown, once it does not move any more. Its hold is counted from now,
-- or from when it was reserved if that is later: another gateway's clock may be ahead.
--
-- KEYS: as of reserve.lua, with the claims in flight of that node; then the counts of all nodes. ARGV: the server's run
-- id, the time, the node, the count that it had when it was last seen to move, what the names of claims begin with,
-- whether its count goes, too.
-- Returns {"moved"}, or {"ok", commits, how many claims}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:counting
if redis.call('HGET', KEYS[5], ARGV[3]) ~= ARGV[4] then
    return {'ok', commit(KEYS[2]), 0}
end
local fingerprints = redis.call('SMEMBERS', KEYS[3])
if #fingerprints == 0 and ARGV[6] == '0' then
    return {'ok', redis.call('GET', KEYS[2]), 0}
end
local forever = '9223372036854775807'
local abandoned = 0
for _, fingerprint in ipairs(fingerprints) do
    local key = ARGV[5] .. fingerprint
    local record = redis.call('GET', key)
    if record and string.sub(record, 1, 1) == '1' then
        local hold = string.sub(record, 37, 55)
        local expires = forever
        if hold < '0009007199254740992' then
            local since = math.max(tonumber(ARGV[2]), tonumber(string.sub(record, 18, 36)))
            expires = string.format('%019.0f', since + tonumber(hold))
        end
        local owner = string.sub(record, 2, 17)
        local new = '4' .. owner .. expires .. string.sub(record, 37, 55) .. '-----' .. string.sub(record, 61)
        redis.call('SET', key, new)
        note(new, fingerprint, 1)
        redis.call('ZADD', KEYS[4], 0, expires .. fingerprint)
        abandoned = abandoned + 1
        if string.sub(record, 56, 60) == '----+' then -- see settle.lua
            redis.pcall('PUBLISH', (string.gsub(KEYS[1], 'server$', 'ended')), owner)
        end
    end
end
redis.call('DEL', KEYS[3])
if ARGV[6] == '1' then
    redis.call('HDEL', KEYS[5], ARGV[3])
end
return {'ok', commit(KEYS[2]), abandoned}
