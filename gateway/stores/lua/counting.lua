-- How many claims there are by rule and state, and which have an unknown outcome. Part of each script that changes that.
--
-- `counts` is a hash: "2RULE" and "3RULE" are how many claims of a rule are created, and of unknown outcome. `counted`
-- says up to which one in the order of expiry, or "all": see count.lua. Those in flight are in the sets of their nodes.
-- Claims of unknown outcome are also in a sorted set for each rule, by when they were first seen.
local base = string.sub(KEYS[1], 1, -7)
local counts, counted = base .. 'counts', base .. 'counted'
local changes = {}
local position

-- Digits that sort as a member of the expiries does: how other texts sort hangs on the server's language.
local function order(member)
    return string.sub(member, 1, 19) .. string.format(string.rep('%03d', 32), string.byte(member, 20, 51))
end

local function is_counted(member)
    position = position or redis.call('GET', counted) or 'none'
    if position == 'all' or #position ~= 51 then
        return position == 'all'
    end
    return order(member) <= order(position)
end

-- The rule of a record: the first text of its tail, which is MessagePack.
local function rule_of(record)
    local at = 62 + (tonumber(string.sub(record, 56, 60)) or 0)
    local length = string.byte(record, at)
    if not length or length < 0xa0 then
        return '' -- it cannot be read
    elseif length < 0xc0 then
        return string.sub(record, at + 1, at + length - 0xa0)
    elseif length == 0xd9 then
        return string.sub(record, at + 2, at + 1 + string.byte(record, at + 1))
    end
    local high, low = string.byte(record, at + 1, at + 2)
    return string.sub(record, at + 3, at + 2 + high * 256 + low)
end

-- The sorted set of a rule, and the member of it that a record of unknown outcome is.
local function unknown_of(rule, record, fingerprint)
    -- The third value of the tail, behind the byte for an array. Binary ones come after it, which this does not know.
    local tail = 60 + (tonumber(string.sub(record, 56, 60)) or 0)
    local is_read, _, _, _, first_seen = pcall(cmsgpack.unpack_limit, record, 3, tail + 1)
    first_seen = is_read and tonumber(first_seen) or 0 -- what cannot be read must not keep a claim from its end
    return base .. 'u:' .. rule, string.format('%019.0f', first_seen) .. fingerprint
end

-- Take note that a record comes (1) or goes (-1).
local function note(record, fingerprint, by)
    local state = string.sub(record, 1, 1)
    if state == '1' then
        return
    end
    local rule = rule_of(record)
    if state ~= '2' then
        state = '3'
        local set, member = unknown_of(rule, record, fingerprint)
        if by > 0 then
            redis.call('ZADD', set, 0, member)
        else
            redis.call('ZREM', set, member)
        end
    end
    if not is_counted(string.sub(record, 18, 36) .. fingerprint) then
        by = 0 -- that there is such a rule is to be known all the same
    end
    changes[state .. rule] = (changes[state .. rule] or 0) + by
end

-- Write what was noted.
local function write_counts()
    for field, by in pairs(changes) do
        redis.call('HINCRBY', counts, field, by)
    end
end

-- The same, and commit. A gateway that does not count adds 1 instead, which shows.
local function commit(key)
    write_counts()
    return redis.call('INCRBY', key, '1024')
end
