-- Apply one batch of one partition to the fold: all of it, once, or nothing.
--
-- KEYS[1]   offsets:<topic>     hash, partition -> next offset to fold, behind:<partition> -> 1
-- KEYS[2]   active              zset, conversation id -> Redis time (ms) at which it is next due
-- KEYS[3…]  conversation:<id>   string, one per conversation of the batch
-- ARGV[1]   partition
-- ARGV[2]   the offset that the caller believes to be stored, "" for none
-- ARGV[3]   the next offset after this batch
-- ARGV[4]   1 where newer records are known to wait, else 0
-- ARGV[5]   milliseconds for which an ended conversation is kept
-- ARGV[6…]  five strings per conversation: id, document, when it was due by its age ("" if it was
--           not active), when it is due now ("" if it has ended), and the age that makes it due
--
-- Returns 1, or 0 where another offset is stored: nothing was written then. A repeated batch, a
-- second owner of the partition and a flushed Redis all end there.
local offset = redis.call("HGET", KEYS[1], ARGV[1])
if not tonumber(offset) then
  offset = "" -- absent, or none of ours
end
if offset ~= ARGV[2] then
  return 0
end

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local argument = 6
for index = 3, #KEYS do
  local id, document = ARGV[argument], ARGV[argument + 1]
  local was_due, due = ARGV[argument + 2], ARGV[argument + 3]
  if due == "" then
    redis.call("SET", KEYS[index], document, "PX", ARGV[5])
    redis.call("ZREM", KEYS[2], id)
  else
    redis.call("SET", KEYS[index], document)
    if due ~= was_due then
      -- By Genesys' clock, but never later than if it had begun just now by ours, and never
      -- before now: an old conversation that is new to us has not waited for a janitor yet.
      local score = math.max(now, math.min(tonumber(due), now + tonumber(ARGV[argument + 4])))
      local stored = redis.call("ZSCORE", KEYS[2], id)
      -- A score that is not of our making is a janitor's: leased, or verified and put back.
      if not stored or stored == was_due or score > tonumber(stored) then
        redis.call("ZADD", KEYS[2], score, id)
      end
    end
  end
  argument = argument + 5
end

redis.call("HSET", KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] == "1" then
  redis.call("HSET", KEYS[1], "behind:" .. ARGV[1], 1)
else
  redis.call("HDEL", KEYS[1], "behind:" .. ARGV[1])
end
return 1
