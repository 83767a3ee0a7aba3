-- Become the leader, or go on being it.
--
-- KEYS[1]  leader        string, token of the leading coordinator, with a time to live
-- KEYS[2]  leader:fence  string, counter of elections, never deleted
-- ARGV[1]  token of the candidate
-- ARGV[2]  milliseconds for which it leads unless it renews
--
-- Returns {fence, now in ms}; fence is 0 where another one leads. A fence other than the one the
-- candidate had means that it was elected anew: whatever it remembers may be out of date.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local leader = redis.call("GET", KEYS[1])
if leader and leader ~= ARGV[1] then
  return {0, now}
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
if leader then
  return {tonumber(redis.call("GET", KEYS[2]) or redis.call("INCR", KEYS[2])), now}
end
return {redis.call("INCR", KEYS[2]), now}
