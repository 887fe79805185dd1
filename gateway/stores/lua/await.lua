-- See which operations hold their claims in flight still; with a mark, who ends one says so: see settle.lua.
--
-- KEYS: the claims. ARGV: "1" to mark them, "0" not to; then the owner of each. Returns the number of each that is in
-- flight.
local found = {}
for at, key in ipairs(KEYS) do
    local record = redis.call('GET', key)
    if record and string.sub(record, 1, 17) == '1' .. ARGV[1 + at] then
        found[#found + 1] = at
        if ARGV[1] == '1' and string.sub(record, 56, 60) ~= '----+' then
            redis.call('SET', key, string.sub(record, 1, 55) .. '----+' .. string.sub(record, 61))
        end
    end
end
return found
