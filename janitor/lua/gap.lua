-- Write a gap down, or drop it. Only the holder of its lease is heard.
--
-- KEYS[1]  gaps      zset, gap id -> Redis time (ms) at which it may next be claimed
-- KEYS[2]  gap:<id>  string, the gap as JSON
-- ARGV[1]  gap id
-- ARGV[2]  the lease: the score that the claim, or the last write, left
-- ARGV[3]  the gap, JSON; empty to drop it: its document and its place in the ledger
-- ARGV[4]  in how many milliseconds it may next be claimed ("inf": it is done)
-- ARGV[5]  milliseconds for which a gap that is done is kept
--
-- Returns the new lease, or "" where the lease was lost: nothing was written then. The place in the
-- ledger changes last: where this breaks off, the gap can be claimed again.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call("ZSCORE", KEYS[1], ARGV[1]) ~= ARGV[2] then
  return ""
end
if ARGV[3] == "" then
  redis.call("DEL", KEYS[2])
  redis.call("ZREM", KEYS[1], ARGV[1])
  return "inf"
end
if ARGV[4] == "inf" then
  redis.call("SET", KEYS[2], ARGV[3], "PX", ARGV[5])
  redis.call("ZADD", KEYS[1], "+inf", ARGV[1])
  return "inf"
end
local lease = string.format("%.0f", now + tonumber(ARGV[4]))
redis.call("SET", KEYS[2], ARGV[3])
redis.call("ZADD", KEYS[1], lease, ARGV[1])
return lease
