-- Put back one operation that this node knows of, on a server that may have lost it.
--
-- KEYS: as of reserve.lua; then how often anything was put back. ARGV: the server's run id, the owner, when it reserved;
-- then for each claim its record, or "" where it was freed, and the answer.
-- Returns {how many claims were put back, how many are held by another operation}.
--:counting
--:linking
local owner, reserved_at = ARGV[2], ARGV[3]
local is_whole = redis.call('GET', KEYS[1]) == ARGV[1]
local restored, taken = 0, 0
for at = 1, (#ARGV - 3) / 2 do
    local key, record, answer = KEYS[3 + 2 * at], ARGV[2 + 2 * at], ARGV[3 + 2 * at]
    local fingerprint = string.sub(key, -32)
    local there = redis.call('GET', key)
    if there and string.sub(there, 56, 60) == '----+' then
        there = string.sub(there, 1, 55) .. '-----' .. string.sub(there, 61) -- that somebody waits is no difference
    end
    local state = there and string.sub(there, 1, 1)
    local stays
    if not there then
        stays = record == ''
    elseif string.sub(there, 2, 17) == owner then
        -- An end that the server knows is later: the answer to it was lost, or another node has found it out.
        local known = string.sub(record, 1, 1)
        stays = there == record or (state == '2' and record ~= '') or (state == '3' and known == '1')
    else
        -- What had lapsed when this operation reserved it does not hold it now. Nor does what was in flight since before
        -- that, as long as nobody could reserve anything anew: it had ended by then, and its node may tell that too late.
        stays = record == '' or string.sub(there, 18, 36) > reserved_at or (state == '1' and is_whole)
        if stays and record ~= '' then
            taken = taken + 1
        end
    end
    if not stays then
        if there then
            redis.call('ZREM', KEYS[4], string.sub(there, 18, 36) .. fingerprint)
            redis.call('SREM', KEYS[3], fingerprint)
            note(there, fingerprint, -1)
            unlink(there, fingerprint)
        end
        if record == '' then
            redis.call('DEL', key, KEYS[4 + 2 * at])
        else
            redis.call('SET', key, record)
            note(record, fingerprint, 1)
            link(record, fingerprint, '')
            if string.sub(record, 1, 1) == '1' then
                redis.call('SADD', KEYS[3], fingerprint)
            else
                redis.call('ZADD', KEYS[4], 0, string.sub(record, 18, 36) .. fingerprint)
            end
            if answer ~= '' then
                redis.call('SET', KEYS[4 + 2 * at], owner .. answer)
            end
        end
        restored = restored + 1
    end
end
if restored > 0 then
    commit(KEYS[#KEYS])
end
return {restored, taken}
