-- Reserve all claims for an owner, or none.
--
-- KEYS: the server that counts, the commits, the claims in flight of this node, the expiries; then each claim and the
-- answer stored with it. ARGV: the server's run id, the time; then a new record for each claim.
-- Returns {"moved"}, or {"held", number and record of each claim that is held}, or {"ok", commits, lapsed records}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
local now = ARGV[2]
local wanted = #ARGV - 2
local found = {}
local held = {'held'}
for at = 1, wanted do
    local record = redis.call('GET', KEYS[3 + 2 * at])
    found[at] = record
    if record and (string.sub(record, 1, 1) == '1' or string.sub(record, 18, 36) > now) then
        held[#held + 1] = at
        held[#held + 1] = record
    end
end
if #held > 1 then
    return held
end
local result = {'ok', redis.call('INCRBY', KEYS[2], '1024')}
for at = 1, wanted do
    local key = KEYS[3 + 2 * at]
    local fingerprint = string.sub(key, -32)
    local old = found[at]
    if old then
        redis.call('ZREM', KEYS[4], string.sub(old, 18, 36) .. fingerprint)
        redis.call('DEL', KEYS[4 + 2 * at])
--:counting
--:linking
        note(old, fingerprint, -1)
        write_counts()
        unlink(old, fingerprint)
        local state = string.sub(old, 1, 1)
        if state == '3' or state == '4' then
            result[#result + 1] = fingerprint .. old
        end
    end
    redis.call('SET', key, ARGV[2 + at])
    redis.call('SADD', KEYS[3], fingerprint)
    if string.byte(ARGV[2 + at], 61) == 0x97 then
--:linking
        link(ARGV[2 + at], fingerprint, '')
    end
end
return result
