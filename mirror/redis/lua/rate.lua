-- Ask for one REST call of an OAuth client's request budget (GCRA, the leaky bucket as a meter).
--
-- KEYS[1]  rate:<client>  string, theoretical arrival time (ms, fractions allowed): the time at
--                         which the budget is whole again
-- ARGV[1]  milliseconds that one call costs
-- ARGV[2]  milliseconds by which calls may run ahead: the burst
-- ARGV[3]  milliseconds of the whole burst, which others may have used (ARGV[2] if not given)
-- ARGV[4]  milliseconds of the longest pause that a 429 may ask for (0 if not given)
--
-- Returns 0 where the call may go now, else after how many milliseconds to ask again.
--
-- A time further ahead than the longest pause and the whole burst cannot be: Redis' clock was set
-- back since, by NTP or by a fail-over. Then the burst counts as used, and calls go one at a time.
local time = redis.call("TIME")
local now = time[1] * 1000 + time[2] / 1000

local whole_at = tonumber(redis.call("GET", KEYS[1]) or 0) or 0
-- Written so that what is no number (nan) is not believed either.
if not (whole_at <= now + (ARGV[3] or ARGV[2]) + ARGV[1] + (ARGV[4] or 0)) then
  whole_at = now + ARGV[2] - ARGV[1] - 1
end
whole_at = math.max(whole_at, now)
local ahead = whole_at + ARGV[1] - now - ARGV[2]
if ahead > 0 then
  return math.ceil(ahead)
end
whole_at = whole_at + ARGV[1]
redis.call("SET", KEYS[1], string.format("%.3f", whole_at), "PX", math.ceil(whole_at - now))
return 0
