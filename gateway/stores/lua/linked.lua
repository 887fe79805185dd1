-- The claims of a link, in order of fingerprint. A member of one that is gone, or that another operation has or another
-- link, because a gateway that does not know of links has changed it, is taken out.
--
-- KEYS: as of reserve.lua, without claims. ARGV: the server's run id, the time, what the names of claims begin with, the
-- link, from where in the order, how many, how many are looked at.
-- Returns {"moved"}, or {"ok", commits, from where to go on or "" at the end, then fingerprint and record of each}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:linking
local set, wanted = links .. ARGV[4], tonumber(ARGV[6])
local members = redis.call('ZRANGEBYLEX', set, ARGV[5], '+', 'LIMIT', 0, ARGV[7])
local result = {'ok', tonumber(redis.call('GET', KEYS[2]) or 0), ''}
for _, member in ipairs(members) do
    local fingerprint = string.sub(member, 1, 32)
    local record = redis.call('GET', ARGV[3] .. fingerprint)
    if not record or string.sub(record, 2, 17) ~= string.sub(member, 33) or set_of(record) ~= set then
        redis.call('ZREM', set, member)
    elseif string.sub(record, 1, 1) == '1' or string.sub(record, 18, 36) > ARGV[2] then
        result[#result + 1] = fingerprint .. record
        if #result == 3 + wanted then
            return result
        end
    end
end
if #members == tonumber(ARGV[7]) then
    result[3] = '(' .. members[#members]
end
return result
