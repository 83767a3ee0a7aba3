-- A listener's beat: it lives, this is its state, these are the channels it pays for.
--
-- KEYS[1]  beats               zset, listener id -> time of its last beat
-- KEYS[2]  listener:<id>       string, the beat as JSON
-- KEYS[3]  assignment:<id>     string, the listener's assignment as JSON
-- KEYS[4…] channels:<client>   zset, channel reservations of an OAuth client -> when each lapses
-- ARGV[1]  listener id
-- ARGV[2]  the beat, JSON
-- ARGV[3]  milliseconds for which the beat's document is kept
-- ARGV[4]  version of the assignment that the listener holds
-- ARGV[5]  milliseconds until an unrenewed reservation lapses
-- ARGV[6…] one string per key from KEYS[4] on: a JSON list of the holders to renew there
--
-- Returns the assignment as JSON, or "" where the listener has it already or there is none.
--
-- Renewing adds what is missing and never refuses: the channels exist, whatever Redis forgot.
-- A beat of the future was heard before Redis' clock was set back. It counts as heard now, so that
-- who died since is missed after a lease and not after as long as the clock was set back.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], string.format("(%.0f", now), "+inf")) do
  redis.call("ZADD", KEYS[1], now, id)
end
redis.call("ZADD", KEYS[1], now, ARGV[1])
redis.call("SET", KEYS[2], ARGV[2], "PX", ARGV[3])

for index = 4, #KEYS do
  for _, holder in ipairs(cjson.decode(ARGV[index + 2])) do
    redis.call("ZADD", KEYS[index], now + ARGV[5], holder)
  end
  redis.call("PEXPIRE", KEYS[index], 2 * ARGV[5])
end

local assignment = redis.call("GET", KEYS[3])
local read, stored = pcall(cjson.decode, assignment or "{}")
if not assignment or (read and stored.version == tonumber(ARGV[4])) then
  return ""
end
return assignment
