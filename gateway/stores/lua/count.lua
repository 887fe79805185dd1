-- Count the next claims that were not counted when they were written, because the store, or what changed it, is older.
--
-- Such gateways may run beside this one. Each of their commits adds 1, and each that counts 1024. Once the remainders have
-- stood still for a while, after they have changed, all claims are counted again.
--
-- KEYS: as of reserve.lua, without claims; then how often anything was put back. ARGV: the server's run id, the time, how
-- many claims, what the names of claims begin with, for how many milliseconds the remainders must have stood still.
-- Returns {"moved"}, or {"ok", commits, 1 where there is more to count, else 0}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'moved'}
end
--:counting
local found = redis.call('MGET', KEYS[2], counted, KEYS[5])
local commits = tonumber(found[1] or 0)
local others = string.format('%d %d', commits % 1024, (found[3] or 0) % 1024)
local known = redis.call('HMGET', counts, 'others', 'changed', 'since')
position = found[2]
local is_due = not position
if position and others ~= known[1] then
    if others ~= known[2] then
        redis.call('HSET', counts, 'changed', others, 'since', ARGV[2])
        known[3] = ARGV[2]
    end
    is_due = ARGV[2] - known[3] >= tonumber(ARGV[5])
end
if is_due then
    for _, field in ipairs(redis.call('HKEYS', counts)) do
        if string.find(field, '^[23]') then
            redis.call('HSET', counts, field, 0)
        end
    end
    redis.call('HSET', counts, 'others', others)
    position = ''
end
if position == 'all' then
    return {'ok', commits, 0}
end
local after = position == '' and '-' or '(' .. position
local members = redis.call('ZRANGEBYLEX', KEYS[4], after, '+', 'LIMIT', 0, ARGV[3])
position = 'all'
local keys = {}
for at, member in ipairs(members) do
    keys[at] = ARGV[4] .. string.sub(member, 20)
end
for at, record in ipairs(#keys > 0 and redis.call('MGET', unpack(keys)) or {}) do
    if record and string.sub(record, 18, 36) == string.sub(members[at], 1, 19) then
        note(record, string.sub(members[at], 20), 1)
    end
end
write_counts()
local is_more = #members == tonumber(ARGV[3])
redis.call('SET', counted, is_more and members[#members] or 'all')
return {'ok', commits, is_more and 1 or 0}
