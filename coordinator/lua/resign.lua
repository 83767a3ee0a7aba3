-- Stop leading, so that another coordinator need not wait for the lock to lapse.
--
-- KEYS[1]  leader  string, token of the leading coordinator
-- ARGV[1]  token of the one who resigns
--
-- Returns 1, or 0 where it did not lead.
if redis.call("GET", KEYS[1]) == ARGV[1] then
  return redis.call("DEL", KEYS[1])
end
return 0
