-- For wrk: asks for PREFIX0, PREFIX1, ... in turn. Arguments: prefix, how many, suffix.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(folder .. "count.lua")

local prefix, count, suffix
local at = 0

function init(args)
  prefix, count, suffix = args[1], tonumber(args[2]), args[3] or ""
end

function request()
  at = (at + 1) % count
  return wrk.format(nil, prefix .. at .. suffix)
end
