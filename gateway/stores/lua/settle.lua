-- Write how an operation ended, for those of its claims that it still holds: in flight, or unknown because its node
-- seemed to have stopped. When all were in flight, or there are none, claims of other operations change, too.
--
-- When somebody waits for one of them, its owner is told to all gateways. That is a hint: a user without the right to
-- send it settles all the same.
--
-- KEYS: as of reserve.lua, with the others behind the claims. ARGV: the server's run id, the owner, which states are
-- settled ("14"), the answer; then for each its new state ("0" frees it), expiry, and length of the link with the link;
-- then for each other which states change ("34"), with its owner. Behind a state there may be by what the claim is found
-- from now on, and `left`: see linking.lua.
-- Returns {"moved"}, or {"ok", commits, how many claims were settled, numbers of the others that changed}.
local base = string.sub(KEYS[1], 1, -7)
local known = redis.call('MGET', KEYS[1], base .. 'counted')
if known[1] ~= ARGV[1] then
    return {'moved'}
end
local owner, states, answer = ARGV[2], ARGV[3], ARGV[4]
local all = (#KEYS - 4) / 2
local claims = 4 + 4 * all - #ARGV
local settled, in_flight, is_awaited = 0, 0, false
local result = {'ok', 0, 0}
for at = 1, all do
    if at > claims then
        if in_flight < claims then
            break
        end
        local other = ARGV[4 + 3 * all + at - claims]
        owner, states, answer = string.sub(other, -16), string.sub(other, 1, -17), ''
    end
    local key = KEYS[3 + 2 * at]
    local record = redis.call('GET', key)
    if record and string.sub(record, 2, 17) == owner and string.find(states, string.sub(record, 1, 1), 1, true) then
        local fingerprint = string.sub(key, -32)
        local state, expires, link_text = ARGV[2 + 3 * at], ARGV[3 + 3 * at], ARGV[4 + 3 * at]
        local tail = 61 + (tonumber(string.sub(record, 56, 60)) or 0)
        local has_link = string.byte(record, tail) == 0x97
        local was_in_flight = string.byte(record) == 49
        local to, left, rest, new
        if at > claims then
            result[#result + 1] = at - claims
        else
            settled = settled + 1
        end
        if was_in_flight then
            in_flight = in_flight + 1
        end
        is_awaited = is_awaited or string.sub(record, 56, 60) == '----+'
        if state == '0' then
            redis.call('DEL', key, KEYS[4 + 2 * at])
        else
            -- First what takes memory: a server that has none left refuses it, and then nothing has changed.
            rest = string.sub(record, tail)
            if #state > 1 then
                state, to, left = string.sub(state, 1, 1), string.sub(state, 2, 17), string.sub(state, 18)
                if has_link then
                    rest = string.sub(rest, 1, -17) .. to
                elseif string.byte(rest) < 0x97 then -- its version, or none, and then the link
                    local version = string.byte(rest) == 0x96 and '' or '\192'
                    rest = '\151' .. string.sub(rest, 2) .. version .. '\196\016' .. to
                else
                    to = nil -- a later release has written more, which must stay
                end
            end
            new = state .. owner .. expires .. string.sub(record, 37, 55) .. link_text .. rest
            redis.call('SET', key, new)
            if state == '2' and answer ~= '' then
                redis.call('SET', KEYS[4 + 2 * at], owner .. answer)
                answer = ''
            end
        end
        redis.call('SREM', KEYS[3], fingerprint)
        redis.call('ZREM', KEYS[4], string.sub(record, 18, 36) .. fingerprint)
        if new then
            redis.call('ZADD', KEYS[4], 0, expires .. fingerprint)
        end
        if to or has_link and not new then
--:linking
            unlink(record, fingerprint)
            if to then
                link(new, fingerprint, left)
            end
        end
        if was_in_flight and state == '2' and known[2] == 'all' and string.byte(rest, 2) < 0xc0 then
            -- What becomes of most claims, in fewer steps: the rule is a short text. See counting.lua.
            redis.call('HINCRBY', base .. 'counts', '2' .. string.sub(rest, 3, string.byte(rest, 2) - 158), '1')
        elseif new or not was_in_flight then
--:counting
            note(record, fingerprint, -1)
            if new then
                note(new, fingerprint, 1)
            end
            write_counts()
        end
    end
end
if is_awaited then
    redis.pcall('PUBLISH', base .. 'ended', ARGV[2])
end
result[2], result[3] = redis.call('INCRBY', KEYS[2], '1024'), settled
return result
