-- A 429 was earned: nobody calls with this OAuth client until its Retry-After has passed.
--
-- KEYS[1]  rate:<client>  string, theoretical arrival time in ms (see rate.lua)
-- ARGV[1]  milliseconds to stay away
-- ARGV[2]  milliseconds by which calls may run ahead: the burst
-- ARGV[3]  milliseconds of the longest pause that a 429 may ask for (ARGV[1] if not given)
--
-- Returns the milliseconds until the next call is allowed. Never brings that time nearer, unless it
-- is further ahead than it can be (rate.lua). After the pause calls go one at a time: the burst has
-- been spent.
local time = redis.call("TIME")
local now = time[1] * 1000 + time[2] / 1000
local longest = math.max(ARGV[1], ARGV[3] or ARGV[1])

local stored = tonumber(redis.call("GET", KEYS[1]) or 0) or 0
if not (stored <= now + longest + 2 * ARGV[2]) then
  stored = 0
end
local whole_at = math.max(stored, now + ARGV[1] + ARGV[2])
redis.call("SET", KEYS[1], string.format("%.3f", whole_at), "PX", math.ceil(whole_at - now))
return math.ceil(whole_at - now - ARGV[2])
