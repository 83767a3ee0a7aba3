-- A listener leaves in good order: it beats no more and holds nothing.
--
-- KEYS[1]  beats            zset, listener id -> time of its last beat
-- KEYS[2]  listener:<id>    string, its last beat
-- KEYS[3]  assignment:<id>  string, its assignment
-- ARGV[1]  listener id
--
-- Returns 1, or 0 where nobody of that name was beating.
redis.call("DEL", KEYS[2], KEYS[3])
return redis.call("ZREM", KEYS[1], ARGV[1])
