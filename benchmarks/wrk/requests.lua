-- wrk sends the text of a file as it stands; where the file holds a marker, each request gets a number there.
-- Arguments: the file, and how many numbers there are before they start again.

local MARKER = "########"

local pieces = {}
local numbers, sent = 0, 0

function init(arguments)
    local file = assert(io.open(arguments[1], "rb"))
    local rest = file:read("*a")
    file:close()
    numbers = tonumber(arguments[2])
    local from, to = rest:find(MARKER, 1, true)
    while from do
        table.insert(pieces, rest:sub(1, from - 1))
        rest = rest:sub(to + 1)
        from, to = rest:find(MARKER, 1, true)
    end
    table.insert(pieces, rest)
end

function request()
    if #pieces == 1 then
        return pieces[1]
    end
    local text = table.concat(pieces, string.format("%08d", sent % numbers))
    sent = sent + 1
    return text
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %f, "refused": %d, "errors": %d, "p50": %f, "p99": %f, "longest": %f}\n',
        summary.requests, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000
    ))
end
