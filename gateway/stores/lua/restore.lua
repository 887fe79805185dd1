-- Put back one operation that this node knows of, on a server that may have lost it.
--
-- KEYS: the claims in flight of this node, the expiries, how often anything was put back; then each claim and the answer
-- stored with it. ARGV: the owner; then for each claim its record, or "" where it was freed, and the answer.
-- An end that the server knows of stays: it is later than what the node knows, where the answer to a commit was lost, or
-- another one has found out about the outcome. Returns {how many claims were put back, how many others hold}.
local function is_later(there, record)
    local known, state = string.sub(there or '', 1, 1), string.sub(record, 1, 1)
    return known == '2' and (state == '1' or state == '3') or known == '3' and state == '1'
end
local owner = ARGV[1]
local restored, taken = 0, 0
redis.call('INCR', KEYS[3])
for at = 1, (#ARGV - 1) / 2 do
    local key, record, answer = KEYS[2 + 2 * at], ARGV[2 * at], ARGV[1 + 2 * at]
    local fingerprint = string.sub(key, -32)
    local there = redis.call('GET', key)
    if there and string.sub(there, 56, 60) == '----+' then
        there = string.sub(there, 1, 55) .. '-----' .. string.sub(there, 61) -- that somebody waits is no difference
    end
    if there and string.sub(there, 2, 17) ~= owner then
        if record ~= '' then
            taken = taken + 1
        end
    elseif (there or '') ~= record and not is_later(there, record) then
        if there then
            redis.call('ZREM', KEYS[2], string.sub(there, 18, 36) .. fingerprint)
            redis.call('SREM', KEYS[1], fingerprint)
        end
        if record == '' then
            redis.call('DEL', key, KEYS[3 + 2 * at])
        else
            redis.call('SET', key, record)
            if string.sub(record, 1, 1) == '1' then
                redis.call('SADD', KEYS[1], fingerprint)
            else
                redis.call('ZADD', KEYS[2], 0, string.sub(record, 18, 36) .. fingerprint)
            end
            if answer ~= '' then
                redis.call('SET', KEYS[3 + 2 * at], owner .. answer)
            end
        end
        restored = restored + 1
    end
end
return {restored, taken}
