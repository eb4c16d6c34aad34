-- An installation in a prefix that was not configured is whole, and finds itself.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local server = require "spec.support.server"

describe("cmake --install --prefix", function()
  local folder, prefix

  setup(function()
    folder = server.folder()
    prefix = folder .. "/prefix"
    local build = server.shell(("dirname $(realpath '%s')"):format(server.binary)):gsub("%s+$", "")
    local output, status = server.shell(("cmake --install '%s' --prefix '%s'"):format(build, prefix))
    assert.are.equal(0, status, output)
    server.shell(("mkdir -p '%s/app'"):format(folder))
  end)
  teardown(function()
    server.remove(folder)
  end)

  local function app(text)
    server.write(folder .. "/app/app.lua", text)
  end

  it("has a command that goes by the library beside it", function()
    app [[require "is.nowhere"]] -- the error says where modules are looked for
    local command = "cd '%s' && '%s/bin/fitnessally' check --no-types --set app=app --set plugins_enabled= --set tts="
    local output, status = server.shell(command:format(folder, prefix))
    assert.are.equal(1, status)
    assert.is_truthy(output:find(prefix .. "/share/fitnessally/lua", 1, true), output)
  end)

  it("has compiled plugins that are found", function()
    app [[app:get("/", function(req) req:reply {} end)]]
    server.shell(("rm '%s/lib/fitnessally/plugins/records.so'"):format(prefix))
    local command = "cd '%s' && '%s/bin/fitnessally' check --no-types --set app=app --set plugins_enabled=records --set tts="
    local output, status = server.shell(command:format(folder, prefix))
    assert.are.equal(1, status) -- not that of the build folder
    assert.is_truthy(output:find(prefix .. "/lib/fitnessally/plugins/records.so: cannot open", 1, true), output)
  end)

  it("is there for programs by pkg-config", function()
    server.write(folder .. "/mine.c", [[
      #include <fitnessally/fitnessally.h>
      #include <fitnessally/plugin.h>
      #include <stdio.h>
      int main(void)
      {
          fa_error error;
          fa_server *server = NULL;
          const char *overrides[] = {"listen=127.0.0.1:0", "app=app", "plugins_enabled=", "tts=", "control=false"};
          if (fa_server_create(NULL, &server, &error) != FA_OK ||
              fa_server_configure(server, NULL, overrides, 5, &error) != FA_OK || fa_server_start(server, &error) != FA_OK)
              puts(error.text);
          fa_server_destroy(server);
          return 0;
      }
    ]])
    app [[require "is.nowhere"]]
    local output, status = server.shell(([[
      cd '%s' && export PKG_CONFIG_PATH='%s/lib/pkgconfig' &&
      cc -o mine mine.c $(pkg-config --cflags --libs fitnessally) &&
      FITNESSALLY_HOME=$(pkg-config --variable=home fitnessally) ./mine]]):format(folder, prefix))
    assert.are.equal(0, status, output)
    assert.is_truthy(output:find("no such file below app or " .. prefix, 1, true), output)
  end)
end)
