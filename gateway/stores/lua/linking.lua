-- Which claims have a link: part of each script that changes that.
--
-- A record with a link has seven values in its tail, of which the link is the last. Each link has a sorted set of the
-- fingerprints and owners of its claims. Gateways that do not know of links leave members of claims that are gone: see
-- linked.lua. So that none stay for ever, a set expires, after the last of its claims, unless one of them has no end.
local links = string.sub(KEYS[1], 1, -7) .. 'l:'

-- The set of a record, if it has a link.
local function set_of(record)
    local tail = 61 + (tonumber(string.sub(record, 56, 60)) or 0)
    if string.byte(record, tail) == 0x97 then
        return links .. string.sub(record, -16)
    end
end

local function unlink(record, fingerprint)
    local set = set_of(record)
    if set then
        redis.call('ZREM', set, fingerprint .. string.sub(record, 2, 17))
    end
end

-- `left` is the number of milliseconds after which it need not be found any more, "" for never.
local function link(record, fingerprint, left)
    local set = set_of(record)
    if not set then
        return
    end
    redis.call('ZADD', set, 0, fingerprint .. string.sub(record, 2, 17))
    if left == '' then
        redis.call('PERSIST', set)
        return
    end
    local has = redis.call('PTTL', set)
    if has < tonumber(left) and (has >= 0 or redis.call('ZCARD', set) == 1) then
        redis.call('PEXPIRE', set, left)
    end
end
