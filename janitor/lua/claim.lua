-- Claim what is due, by lease: until then nobody else gets it, after that anybody does.
--
-- KEYS[1]  active or gaps   zset, id -> Redis time (ms) at which it is next due
-- KEYS[2]  offsets:<topic>  hash of the tracker; given where the claim depends on its fold
-- ARGV[1]  most ids to claim
-- ARGV[2]  milliseconds of the lease
-- ARGV[3]  milliseconds that the tracker's last beat may be old
-- ARGV[4]  claim only what was due at this Redis time (ms), "" for now
--
-- Returns {why not, lease, now, id, …}: an empty string, the score that stands for the lease, the
-- Redis time, and the ids; or "away" where no tracker lives, "behind" where one has not yet read all there is. What it
-- has not read may be the very end that a conversation seems to lack.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if KEYS[2] then
  local beat = redis.call("HGET", KEYS[2], "beat")
  -- A beat far in the future was heard before Redis' clock was set back; the living beat anew.
  if not beat or math.abs(now - tonumber(beat)) > tonumber(ARGV[3]) then
    return {"away", "0", now}
  end
  for _, field in ipairs(redis.call("HKEYS", KEYS[2])) do
    if string.sub(field, 1, 7) == "behind:" then
      return {"behind", "0", now}
    end
  end
end

local due = ARGV[4] == "" and now or ARGV[4]
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", due, "LIMIT", 0, ARGV[1])
local lease = string.format("%.0f", now + tonumber(ARGV[2]))
for _, id in ipairs(ids) do
  redis.call("ZADD", KEYS[1], lease, id)
end
return {"", lease, now, unpack(ids)}
