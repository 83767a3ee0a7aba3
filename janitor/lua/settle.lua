-- Say when claimed work is next due. Only the holder of the lease is heard.
--
-- KEYS[1]  active  zset, id -> Redis time (ms) at which it is next due
-- ARGV[1]  the lease: the score that the claim left
-- ARGV[2…] pairs: id, and in how many milliseconds it is next due
--
-- Returns how many were still held by that lease.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = 0
for index = 2, #ARGV, 2 do
  if redis.call("ZSCORE", KEYS[1], ARGV[index]) == ARGV[1] then
    held = held + 1
    redis.call("ZADD", KEYS[1], now + tonumber(ARGV[index + 1]), ARGV[index])
  end
end
return held
