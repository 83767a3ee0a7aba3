-- The leader's writes: all of them, or none where its fence is stale.
--
-- KEYS[1]  leader        string, token of the leading coordinator
-- KEYS[2]  leader:fence  string, counter of elections
-- KEYS[3…] one key per write
-- ARGV[1]  token of the writer
-- ARGV[2]  its fence
-- ARGV[3…] per write: command, number of arguments, the arguments behind the key
--
-- Commands: SET, DEL, HSET, HDEL, ZADD, ZREM, and SETNX with ZADDNX for what is filed once.
-- Returns 1, or 0 where another one leads or led since.
if redis.call("GET", KEYS[1]) ~= ARGV[1] or redis.call("GET", KEYS[2]) ~= ARGV[2] then
  return 0
end

local allowed = {SET = 1, DEL = 1, HSET = 1, HDEL = 1, ZADD = 1, ZREM = 1, SETNX = 1, ZADDNX = 1}
local at = 3
for index = 3, #KEYS do
  local command = ARGV[at]
  local count = tonumber(ARGV[at + 1])
  if not allowed[command] then
    return redis.error_reply("ERR write.lua does not know " .. tostring(command))
  end
  local arguments = {}
  if command == "ZADDNX" then
    command = "ZADD"
    arguments[1] = "NX"
  end
  for argument = at + 2, at + 1 + count do
    arguments[#arguments + 1] = ARGV[argument]
  end
  redis.call(command, KEYS[index], unpack(arguments))
  at = at + 2 + count
end
return 1
