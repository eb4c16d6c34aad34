-- What the language does otherwise here than in LuaJIT. Runs once when a state is made; not a module. native:
-- core/script/lua_language.c. coroutine.wrap and resume keep the traceback of what fails inside, and end with an error where
-- coroutines within coroutines would overflow the stack of C; table.sort can be interrupted.
local native = ...
local create, resume, sort, error, type = coroutine.create, coroutine.resume, table.sort, error, type
local LONG = 10000 -- items: C sorts these in a few milliseconds, and cannot be interrupted meanwhile

local function keep(co, ok, ...)
  if not ok then
    native.failed(co, (...))
  end
  return ok, ...
end

function coroutine.resume(co, ...)
  native.check_depth()
  return keep(co, resume(co, ...))
end

local function unwrap(co, ok, ...)
  if not ok then
    native.failed(co, (...))
    error((...), 0)
  end
  return ...
end

function coroutine.wrap(fn)
  local co = create(fn)
  return function(...)
    native.check_depth()
    return unwrap(co, resume(co, ...))
  end
end

coroutine.running = native.running

local function less(a, b)
  return a < b
end

function table.sort(list, before)
  if before == nil and type(list) == "table" and #list > LONG then
    before = less
  end
  return sort(list, before)
end
