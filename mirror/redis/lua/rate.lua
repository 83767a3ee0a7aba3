-- Ask for one REST call of an OAuth client's request budget (GCRA, the leaky bucket as a meter).
--
-- KEYS[1]  rate:<client>  string, theoretical arrival time (ms, fractions allowed): the time at
--                         which the budget is whole again
-- ARGV[1]  milliseconds that one call costs
-- ARGV[2]  milliseconds by which calls may run ahead: the burst
--
-- Returns 0 where the call may go now, else after how many milliseconds to ask again.
local time = redis.call("TIME")
local now = time[1] * 1000 + time[2] / 1000

local whole_at = math.max(tonumber(redis.call("GET", KEYS[1]) or 0) or 0, now)
local ahead = whole_at + ARGV[1] - now - ARGV[2]
if ahead > 0 then
  return math.ceil(ahead)
end
whole_at = whole_at + ARGV[1]
redis.call("SET", KEYS[1], string.format("%.3f", whole_at), "PX", math.ceil(whole_at - now))
return 0
