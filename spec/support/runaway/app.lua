-- Scripts that do not end, take all memory, or recurse for ever: each a route of its own, for spec/e2e/runaway.test.mjs and
-- spec/unit/test_script_runaway.c.
local runaway = {}

function runaway.endless_loop()
  while true do end
end

function runaway.hot_loop() -- one that LuaJIT would compile
  local x = 0
  for i = 1, 1e15 do x = x + i % 7 end
  return x
end

function runaway.loop_in_pcall()
  while true do
    pcall(function() while true do end end)
  end
end

function runaway.pcall_loop_without_body()
  while true do pcall(error) end
end

function runaway.loop_in_xpcall_handler()
  while true do
    xpcall(error, function() while true do end end)
  end
end

function runaway.loop_in_coroutine()
  local loop = coroutine.wrap(function() while true do end end)
  loop()
end

function runaway.coroutine_that_catches()
  while true do
    local loop = coroutine.create(function() while true do pcall(string.rep, "x", 2) end end)
    coroutine.resume(loop)
  end
end

function runaway.loop_in_index()
  local t = setmetatable({}, { __index = function() while true do end end })
  return t.anything
end

function runaway.loop_in_concat()
  local t = setmetatable({}, { __concat = function() while true do end end })
  return t .. "x"
end

function runaway.loop_in_tostring()
  return tostring(setmetatable({}, { __tostring = function() while true do end end }))
end

function runaway.loop_in_sort()
  table.sort({ 3, 2, 1 }, function() while true do end end)
end

function runaway.loop_in_gsub()
  return (("x"):gsub("x", function() while true do end end))
end

function runaway.loop_in_iterator()
  for _ in function() return 1 end do end
end

function runaway.loop_in_scope()
  fitnessally.scope("mine", {}, function() while true do end end)
end

function runaway.loop_in_all()
  fitnessally.all { function() while true do end end, function() fitnessally.sleep(60000) end }
end

function runaway.loop_after_wait()
  fitnessally.sleep(5)
  while true do end
end

function runaway.goto_loop()
  ::again::
  goto again
end

function runaway.tail_calls()
  local function f() return f() end
  return f()
end

function runaway.string_bomb()
  local s = "x"
  while true do s = s .. s end
end

function runaway.string_heap()
  local t = {}
  for i = 1, 1e9 do t[i] = ("x"):rep(1024 * 1024 - i) end
end

function runaway.rep_bomb()
  local text = ("x"):rep(1e9)
  return text
end

function runaway.table_bomb()
  local t = {}
  for i = 1, 1e9 do t[i] = {} end
end

function runaway.nested_tables()
  local t = {}
  while true do t = { t } end
end

function runaway.closures()
  local f = function() end
  while true do
    local g = f
    f = function() return g end
  end
end

function runaway.deep_recursion()
  local function f(n) return 1 + f(n + 1) end
  return f(1)
end

function runaway.deep_index()
  local t = {}
  setmetatable(t, { __index = function(self, k) return self[k + 1] end })
  return t[1]
end

function runaway.deep_pcall()
  local function f()
    local ok, problem = pcall(f)
    if not ok then error(problem, 0) end
  end
  return f()
end

function runaway.deep_tostring()
  local t
  t = setmetatable({}, { __tostring = function() return tostring(t) end })
  return tostring(t)
end

function runaway.deep_coroutines()
  local function f()
    local below = coroutine.wrap(f)()
    return below
  end
  return f()
end

function runaway.deep_gsub()
  local function f(s) return (s:gsub(".", f)) end
  return f("x")
end

function runaway.many_coroutines()
  local kept = {}
  while true do
    local co = coroutine.create(function() coroutine.yield() end)
    coroutine.resume(co)
    kept[#kept + 1] = co
  end
end

function runaway.pattern()
  local found = (("a"):rep(200000) .. "b"):find(".-.-.-.-.-c")
  return found
end

function runaway.pattern_of_nested_repeats()
  local found = ("a"):rep(60000):match("(a*a*a*a*a*)b")
  return found
end

function runaway.json_bomb()
  local t = { "x" }
  for _ = 1, 50 do t = { t, t } end
  local text = json.encode(t)
  return text
end

function runaway.sort_without_function()
  local t = {}
  for i = 1, 2e6 do t[i] = (i * 7919) % 1000003 end
  table.sort(t)
end

function runaway.concat_bomb()
  local t, s = {}, ("x"):rep(1024 * 1024)
  for i = 1, 1000 do t[i] = s end
  local text = table.concat(t)
  return text
end

for name, script in pairs(runaway) do
  app:get("/runaway/" .. name, function(req)
    script()
    req:reply { text = "it came to an end" }
  end)
end

app:get("/names", function(req)
  local names = {}
  for name in pairs(runaway) do names[#names + 1] = name end
  table.sort(names)
  req:reply { json = names }
end)

app:get("/quick", function(req) req:reply { json = { ok = true } } end)
