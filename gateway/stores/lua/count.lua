-- Count the next claims that were not counted when they were written, because the store, or what changed it, is older.
--
-- Such gateways may run beside this one. When they commit, the commits that were counted fall behind by more. Once that
-- has stood still for a while, all claims are counted again.
--
-- KEYS: as of reserve.lua, without claims; then how often anything was put back. ARGV: the server's run id, the time, how
-- many claims, what the names of claims begin with, for how many milliseconds it must have stood still.
-- Returns {"moved"}, or {"ok", commits, 1 where there is more to count, else 0}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
local commits = tonumber(redis.call('GET', KEYS[2]) or 0)
local known = redis.call('HMGET', KEYS[5], 'commits', 'behind', 'position', 'seen', 'since')
local behind = string.format('%.0f', commits + (redis.call('GET', KEYS[6]) or 0) - (known[1] or 0))
local is_due = not known[3]
if known[3] and behind ~= known[2] then
    if behind ~= known[4] then
        redis.call('HSET', KEYS[5], 'seen', behind, 'since', ARGV[2])
        known[5] = ARGV[2]
    end
    is_due = ARGV[2] - known[5] >= tonumber(ARGV[5])
end
--:counting
position = known[3]
if is_due then
    for _, field in ipairs(redis.call('HKEYS', KEYS[5])) do
        local state = string.sub(field, 1, 1)
        if state == '2' or state == '3' then
            redis.call('HSET', KEYS[5], field, 0)
        end
    end
    position = ''
    redis.call('HSET', KEYS[5], 'position', position, 'behind', behind)
end
if position == 'all' then
    return {'ok', commits, 0}
end
local after = position == '' and '-' or '(' .. position
local members = redis.call('ZRANGEBYLEX', KEYS[4], after, '+', 'LIMIT', 0, ARGV[3])
position = 'all'
for _, member in ipairs(members) do
    local fingerprint = string.sub(member, 20)
    local record = redis.call('GET', ARGV[4] .. fingerprint)
    if record and string.sub(record, 18, 36) == string.sub(member, 1, 19) then
        note(record, fingerprint, 1)
    end
end
write_counts()
local is_more = #members == tonumber(ARGV[3])
redis.call('HSET', KEYS[5], 'position', is_more and members[#members] or 'all')
return {'ok', commits, is_more and 1 or 0}
