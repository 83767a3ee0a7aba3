-- Give a channel reservation back. Safe to repeat.
--
-- KEYS[1]  channels:<client>  zset, holder -> time at which its reservation lapses
-- ARGV[1]  holder
--
-- Returns 1, or 0 where the holder had none.
return redis.call("ZREM", KEYS[1], ARGV[1])
