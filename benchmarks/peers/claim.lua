-- One create: claim its identity in Redis, send it, settle. What the gateway does for the same rule, as far as a page
-- of Lua goes: no fencing by owner, nothing on disk, no recovery of claims whose worker died. A claim is looked up and
-- taken in one round trip (SET NX GET, Redis 7.0).

local cjson = require "cjson.safe"
local redis = require "nginx.redis"

local KEEP = 24 * 3600
local SECRET = "a key for a benchmark, 32 characters"

local function say(status, slug, title, more)
    local problem = more or {}
    problem.type, problem.title, problem.status = "urn:problem-type:gateway:" .. slug, title, status
    local body = cjson.encode(problem)
    ngx.status = status
    ngx.header["Content-Type"] = "application/problem+json"
    ngx.header["Content-Length"] = #body
    ngx.header["Cache-Control"] = "no-store"
    ngx.print(body)
end

local function connected()
    local store = redis:new()
    store:set_timeout(1000)
    local done, failure = store:connect("127.0.0.1", @store@)
    if not done then
        ngx.log(ngx.ERR, "redis: ", failure)
        return nil
    end
    return store
end

local function identity()
    ngx.req.read_body()
    local body = cjson.decode(ngx.req.get_body_data() or "")
    local email = type(body) == "table" and body.email
    if type(email) ~= "string" then
        return nil
    end
    return email:match("^%s*(.-)%s*$"):lower()
end

local function held(text)
    local claim = cjson.decode(text)
    if claim.state == "created" then
        return say(409, "duplicate", "Already created", {
            rule = "create-user",
            conflictField = "email",
            existingResourceLink = claim.link,
            suggestedNextStep = "Do not send it again. Use the existing resource.",
            firstSeen = claim.first_seen,
        })
    end
    ngx.header["Retry-After"] = 1
    local slug = claim.state == "in_flight" and "in-progress" or "outcome-unknown"
    return say(409, slug, "Not certain yet", { rule = "create-user", conflictField = "email" })
end

local function settle(store, key, first_seen, answer)
    local status = answer.status
    if status < 300 or status == 303 then
        local claim = { state = "created", first_seen = first_seen, link = answer.header["Location"] }
        return store:set(key, cjson.encode(claim), "EX", KEEP)
    elseif status < 500 or status == 501 or status == 503 then
        return store:del(key)
    end
    return store:set(key, cjson.encode({ state = "unknown", first_seen = first_seen }), "EX", KEEP)
end

local function pass_on(answer)
    ngx.status = answer.status
    for name, value in pairs(answer.header) do
        ngx.header[name] = value
    end
    ngx.print(answer.body)
end

local email = identity()
if not email then
    return say(422, "missing-identity", "Missing identity")
end
local store = connected()
if not store then
    return say(503, "store-unavailable", "Store unavailable")
end
local key = "claim:" .. ngx.hmac_sha1(SECRET, "1\0create-user\0email\0" .. email)
local first_seen = ngx.now()
local found, failure = store:set(key, cjson.encode({ state = "in_flight", first_seen = first_seen }), "NX", "GET")
if not found then
    ngx.log(ngx.ERR, "redis: ", failure)
    return say(503, "store-unavailable", "Store unavailable")
end
if found ~= ngx.null then
    store:set_keepalive(60000, 1024)
    return held(found)
end
local answer = ngx.location.capture("/forward", { method = ngx.HTTP_POST, always_forward_body = true })
local settled, reason = settle(store, key, first_seen, answer)
if not settled then
    ngx.log(ngx.ERR, "redis: ", reason)
end
store:set_keepalive(60000, 1024)
pass_on(answer)
