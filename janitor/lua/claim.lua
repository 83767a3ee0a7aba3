-- Claim what is due, by lease: until then nobody else gets it, after that anybody does.
--
-- KEYS[1]  active or gaps   zset, id -> Redis time (ms) at which it is next due
-- KEYS[2]  offsets:<topic>  hash of the tracker; given where the claim depends on its fold
-- ARGV[1]  most ids to claim
-- ARGV[2]  milliseconds of the lease
-- ARGV[3]  milliseconds that the tracker's last beat may be old
-- ARGV[4]  claim only what was due at this Redis time (ms), "" for now
-- ARGV[5]  milliseconds ahead of now beyond which nobody puts a score
-- ARGV[6]  partitions of the topic, 0 where unknown
--
-- Returns {why not, lease, now, behind, id, …}: an empty string, the score that stands for the
-- lease, the Redis time, the partitions that the tracker has not yet read to their end (words), and
-- the ids; or "away" where no tracker lives, "behind" where one is behind in every partition, or in
-- any while their number is unknown. What it has not read may be the very end that a conversation
-- seems to lack. A partition beyond their number is of a topic that was there before.
--
-- Redis' clock can step back, by NTP or with a fail-over. Times that it cannot have given are not
-- believed: a beat of later than now is none, and a score too far ahead is due.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local behind = {}
if KEYS[2] then
  local beat = redis.call("HGET", KEYS[2], "beat")
  -- A beat far in the future was heard before Redis' clock was set back; the living beat anew.
  if not beat or math.abs(now - tonumber(beat)) > tonumber(ARGV[3]) then
    return {"away", "0", now, ""}
  end
  local count = tonumber(ARGV[6])
  for _, field in ipairs(redis.call("HKEYS", KEYS[2])) do
    local number = string.match(field, "^behind:(%d+)$")
    if number and (count == 0 or tonumber(number) < count) then
      behind[#behind + 1] = number
    end
  end
  if #behind > 0 and #behind >= count then
    return {"behind", "0", now, ""}
  end
end

local due = ARGV[4] == "" and now or ARGV[4]
local most = tonumber(ARGV[1])
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", due, "LIMIT", 0, most)
if #ids < most then
  local beyond = "(" .. string.format("%.0f", now + tonumber(ARGV[5]))
  local strange = redis.call(
    "ZRANGEBYSCORE", KEYS[1], beyond, "(+inf", "LIMIT", 0, most - #ids)
  for _, id in ipairs(strange) do
    ids[#ids + 1] = id
  end
end
local lease = string.format("%.0f", now + tonumber(ARGV[2]))
for _, id in ipairs(ids) do
  redis.call("ZADD", KEYS[1], lease, id)
end
return {"", lease, now, table.concat(behind, " "), unpack(ids)}
