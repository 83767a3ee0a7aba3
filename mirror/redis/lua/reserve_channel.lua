-- Reserve one of an OAuth client's channels before it is created at Genesys.
--
-- KEYS[1]  channels:<client>  zset, holder -> time at which its reservation lapses
-- ARGV[1]  holder
-- ARGV[2]  most channels of this client
-- ARGV[3]  milliseconds until the reservation lapses unless it is renewed
--
-- Returns 1 where the holder now has a reservation (also where it had one), 0 where all are taken.--
-- A reservation lapses within ARGV[3] of its last renewal. One that stands further ahead than that
-- was made before Redis' clock was set back: it is moved to where it can be, so that a dead
-- holder's does not block a channel for as long as the clock was set back. The living renew theirs.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
-- Twice as far: another listener's lease may be somewhat longer.
local latest = now + 2 * ARGV[3]
local beyond = redis.call("ZRANGEBYSCORE", KEYS[1], string.format("(%.0f", latest), "+inf")
for _, holder in ipairs(beyond) do
  redis.call("ZADD", KEYS[1], now + ARGV[3], holder)
end
local held = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not held and redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call("ZADD", KEYS[1], now + ARGV[3], ARGV[1])
redis.call("PEXPIRE", KEYS[1], 2 * ARGV[3])
return 1
