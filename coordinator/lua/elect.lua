-- Become the leader, or go on being it.
--
-- KEYS[1]  leader        string, token of the leading coordinator, with a time to live
-- KEYS[2]  leader:fence  string, the fence of the latest election, never deleted
-- ARGV[1]  token of the candidate
-- ARGV[2]  milliseconds for which it leads unless it renews
--
-- Returns {fence, now in ms}; fence is 0 where another one leads. A fence other than the one the
-- candidate had means that it was elected anew: whatever it remembers may be out of date.
--
-- A fence is at least the time of its election in microseconds, so that fences go on growing where
-- Redis came back empty: a counter would begin again and give an old fence a second time.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local leader = redis.call("GET", KEYS[1])
if leader and leader ~= ARGV[1] then
  -- A lock never lapses later than a lease from now, unless Redis' clock was set back: then a dead
  -- leader's would hold for as long. Redis before 7 does not know LT, and refuses.
  redis.pcall("PEXPIRE", KEYS[1], ARGV[2], "LT")
  return {0, now}
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
local fence = tonumber(redis.call("GET", KEYS[2]) or 0) or 0
if not leader or fence == 0 then
  fence = math.max(fence + 1, time[1] * 1000000 + time[2])
  redis.call("SET", KEYS[2], string.format("%.0f", fence))
end
return {fence, now}
