-- Hand a channel back that its owner has closed its socket on, for the seat's next holder.
--
-- KEYS[1]  released           hash, seat -> the channel given back, JSON
-- KEYS[2]  channels:<client>  zset, holder -> time at which its reservation lapses
-- ARGV[1]  seat
-- ARGV[2]  the channel given back, JSON
-- ARGV[3]  holder whose reservation ends with this
--
-- Returns 1.
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
redis.call("ZREM", KEYS[2], ARGV[3])
return 1
