-- A tracker lives; it has folded all there was of these partitions, and not yet of those.
--
-- KEYS[1]  offsets:<topic>  hash, partition -> next offset, behind:<partition> -> 1, beat -> time
-- ARGV[1]  1 where newer records wait in the partitions that follow, else 0
-- ARGV[2…] partitions
--
-- Returns the whole hash as a list of fields and values.
local time = redis.call("TIME")
redis.call("HSET", KEYS[1], "beat", time[1] * 1000 + math.floor(time[2] / 1000))
for index = 2, #ARGV do
  if ARGV[1] == "1" then
    redis.call("HSET", KEYS[1], "behind:" .. ARGV[index], 1)
  else
    redis.call("HDEL", KEYS[1], "behind:" .. ARGV[index])
  end
end
return redis.call("HGETALL", KEYS[1])
