-- The oldest claims of unknown outcome of a rule. One that is not there any more, or is not unknown, because a gateway
-- has changed it that does not know of this order, is taken out.
--
-- KEYS: as of reserve.lua, without claims. ARGV: the server's run id, what the names of claims begin with, the rule, from
-- where and to where in the order, how many, how many are looked at.
-- Returns {"moved"}, or {"ok", commits, 1 where there may be more than these, else 0, then each as it is in the order}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:counting
local set, wanted = base .. 'u:' .. ARGV[3], tonumber(ARGV[6])
local members = redis.call('ZRANGEBYLEX', set, ARGV[4], ARGV[5], 'LIMIT', 0, ARGV[7])
local result = {'ok', tonumber(redis.call('GET', KEYS[2]) or 0), #members == tonumber(ARGV[7]) and 1 or 0}
for _, member in ipairs(members) do
    local fingerprint = string.sub(member, 20)
    local record = redis.call('GET', ARGV[2] .. fingerprint)
    local state = record and string.sub(record, 1, 1)
    local is_there = false
    if state == '3' or state == '4' then
        local its_set, its_member = unknown_of(rule_of(record), record, fingerprint)
        is_there = its_set == set and its_member == member
    end
    if not is_there then
        redis.call('ZREM', set, member)
    else
        result[#result + 1] = member
        if #result == 3 + wanted then
            break
        end
    end
end
return result
