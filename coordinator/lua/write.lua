-- The leader's writes: all of them, or none where its fence is stale.
--
-- KEYS[1]  leader        string, token of the leading coordinator
-- KEYS[2]  leader:fence  string, counter of elections
-- KEYS[3]  gaps          zset, the gap ledger (mirror/fleet/gaps.py)
-- KEYS[4…] one key per write
-- ARGV[1]  token of the writer
-- ARGV[2]  its fence
-- ARGV[3…] per write: command, number of arguments, the arguments behind the key
--
-- Commands: SET, DEL, HSET, HDEL, ZREM, and FILE for a gap: its key is gap:<id>, its arguments are
-- those of file_gap.lua, which stands before this script as the function file_gap.
-- Returns 1, or 0 where another one leads or led since.
if redis.call("GET", KEYS[1]) ~= ARGV[1] or redis.call("GET", KEYS[2]) ~= ARGV[2] then
  return 0
end

local allowed = {SET = 1, DEL = 1, HSET = 1, HDEL = 1, ZREM = 1, FILE = 1}
local at = 3
for index = 4, #KEYS do
  local command = ARGV[at]
  local count = tonumber(ARGV[at + 1])
  if not allowed[command] then
    return redis.error_reply("ERR write.lua does not know " .. tostring(command))
  end
  local arguments = {unpack(ARGV, at + 2, at + 1 + count)}
  if command == "FILE" then
    file_gap({KEYS[3], KEYS[index]}, arguments)
  else
    redis.call(command, KEYS[index], unpack(arguments))
  end
  at = at + 2 + count
end
return 1
