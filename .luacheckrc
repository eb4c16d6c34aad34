std = "luajit"
max_line_length = 130
max_comment_line_length = 230 -- an annotation is one line
exclude_files = { "build*", ".fitnessally", "**/node_modules", "lua/fitnessally/meta", "lua/fitnessally/testing/meta.lua" } -- declarations only

-- What a script finds already there.
local host = { "app", "voice", "fitnessally", "log", "json", "plugin", "settings", "upstream" }
for _, folder in ipairs { "lua", "plugins", "examples" } do
  files[folder] = { read_globals = { unpack(host) } }
end
for _, name in ipairs { "config", "native" } do -- and what the files of plugins have
  table.insert(files["plugins"].read_globals, name)
end

local of_plugins = { "config", "native", unpack(host) }
files["plugins"] = { read_globals = of_plugins }
files["lua/fitnessally/sample"] = { read_globals = of_plugins }
files["plugins/*/spec"] = { std = "+busted" }
files["lua/fitnessally/sample/spec"] = { std = "+busted" }

-- Evaluated in a state of its own, where a key is a global.
files["**/*.conf.lua"] = { allow_defined_top = true, ignore = { "131" }, globals = { "plugins" } }
files["lua/fitnessally/language.lua"] = { globals = { "coroutine", "table" } }
files["spec"] = { std = "+busted" }
files["examples/*/spec"] = { std = "+busted" }
files["spec/unit"] = { read_globals = host }
files["spec/unit/support/reference_app.lua"] = { read_globals = { "copies" }, ignore = { "512" } } -- loops that end at once
files["spec/support"] = { read_globals = host }
files["spec/support/runaway"] = { ignore = { "241" } } -- scripts that waste
files["spec/bench/http"] = { -- what wrk calls and gives
  globals = { "init", "request", "done", "quiet" }, read_globals = { "wrk", "app", "settings" },
}
files["spec/e2e"] = { read_globals = host }
