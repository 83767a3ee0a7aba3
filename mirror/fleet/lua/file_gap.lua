-- File a gap: its document and its place in the ledger.
--
-- KEYS[1]  gaps      zset, gap id -> Redis time (ms) at which a janitor may next claim it
-- KEYS[2]  gap:<id>  string, the gap as JSON
-- ARGV[1]  gap id
-- ARGV[2]  the gap, JSON
--
-- Returns 1, or 0 where the ledger has the gap already. A filing that broke off (Redis runs a script
-- to its first error, and undoes nothing) is completed by the next one.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call("SETNX", KEYS[2], ARGV[2]) == 1 then
  -- Whatever score a gap of this id left that was done and whose document has expired.
  redis.call("ZADD", KEYS[1], now, ARGV[1])
  return 1
end
return redis.call("ZADD", KEYS[1], "NX", now, ARGV[1])
