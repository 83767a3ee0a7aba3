-- Reserve one of an OAuth client's channels before it is created at Genesys.
--
-- KEYS[1]  channels:<client>  zset, holder -> time at which its reservation lapses
-- ARGV[1]  holder
-- ARGV[2]  most channels of this client
-- ARGV[3]  milliseconds until the reservation lapses unless it is renewed
--
-- Returns 1 where the holder now has a reservation (also where it had one), 0 where all are taken.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
local held = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not held and redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call("ZADD", KEYS[1], now + ARGV[3], ARGV[1])
redis.call("PEXPIRE", KEYS[1], 2 * ARGV[3])
return 1
