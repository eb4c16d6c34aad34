-- schema, template, time and url: the parts of the library that need no server.

package.path = (os.getenv("FA_ROOT") or ".") .. "/lua/?.lua;" .. package.path

local cjson = require "cjson"

local files = {}

setup(function()
  rawset(_G, "json", { null = cjson.null, encode = cjson.encode, decode = cjson.decode })
  rawset(_G, "fitnessally", {
    now = function() return 1795914123456 end,
    policies = { read = function(name)
      if files[name] then return files[name] end
      return nil, "there is no " .. name
    end },
  })
end)

teardown(function()
  for _, name in ipairs { "json", "fitnessally" } do
    rawset(_G, name, nil)
  end
  for _, name in ipairs { "schema", "template", "time", "url", "body", "validate" } do
    package.loaded["fitnessally." .. name] = nil
  end
end)

describe("schema", function()
  local schema, note
  setup(function()
    schema = require "fitnessally.schema"
    note = schema.object {
      title = schema.text { min = 1, max = 10 },
      kind = schema.choice { "note", "task", default = "note" },
      tags = schema.list(schema.text { max = 3 }, { max = 2, optional = true }),
      size = schema.integer { from = 1, to = 9, optional = true },
      ratio = schema.number { to = 1, optional = true },
      done = schema.flag { optional = true },
      place = schema.object({ city = schema.text { pattern = "^%u", means = "a name with a capital" } },
        { optional = true, strict = true }),
      code = schema.text { pattern = "^%d+$", optional = true },
    }
  end)

  local function problem(value)
    local got, wrong = schema.check(note, value)
    assert.is_nil(got)
    assert.is_truthy(wrong.message:find(wrong.field, 1, true))
    return wrong.message
  end

  it("gives what is described, with defaults, and nothing else", function()
    local given = { title = "a", tags = { "x", "yy" }, size = 3, ratio = -0.5, done = false, place = { city = "Rome" },
      other = 1, code = cjson.null }
    assert.are.same({ title = "a", kind = "note", tags = { "x", "yy" }, size = 3, ratio = -0.5, done = false,
      place = { city = "Rome" } }, schema.check(note, given))
  end)

  it("names the field that is wrong, however deep", function()
    for message, value in pairs {
      ["title is missing"] = {},
      ["title must be a text"] = { title = 5 },
      ["title must be UTF-8"] = { title = "\255" },
      ["title must have from 1 to 10 bytes"] = { title = "" },
      ["kind must be one of note, task"] = { title = "a", kind = "x" },
      ["tags must be a list"] = { title = "a", tags = { a = 1 } },
      ["tags must have at most 2 items"] = { title = "a", tags = { "a", "b", "c" } },
      ["tags[2] must be a text"] = { title = "a", tags = { "a", 5 } },
      ["tags[2] is missing"] = { title = "a", tags = { "a", cjson.null } },
      ["tags[1] must have at most 3 bytes"] = { title = "a", tags = { "long" } },
      ["size must be a whole number"] = { title = "a", size = 1.5 },
      ["size must be a whole number from 1 to 9"] = { title = "a", size = 10 },
      ["ratio must be a number at most 1"] = { title = "a", ratio = 2 },
      ["done must be true or false"] = { title = "a", done = "true" },
      ["place must be an object"] = { title = "a", place = { 1 } },
      ["place.city is missing"] = { title = "a", place = {} },
      ["place.city must be a name with a capital"] = { title = "a", place = { city = "rome" } },
      ["place.zip is not known here"] = { title = "a", place = { city = "Rome", zip = 1 } },
      ["code must be of the form ^%d+$"] = { title = "a", code = "x" },
    } do
      assert.are.equal(message, problem(value))
    end
    local _, wrong = schema.check(note, "text")
    assert.are.equal("the body must be an object", wrong.message)
  end)

  it("does not share its defaults", function()
    local lists = schema.object { list = schema.list(schema.any(), { default = { 1 } }) }
    local first = schema.check(lists, {})
    first.list[1] = 2
    assert.are.same({ list = { 1 } }, schema.check(lists, {}))
  end)

  it("takes texts for numbers where all is text", function()
    local answered
    local function ask(values)
      answered = nil
      return schema.query({
        query = function(_, name) return values[name] end,
        fail = function(_, status, code, message) answered = status .. " " .. code .. ": " .. message end,
      }, schema.object {
        limit = schema.integer { from = 1, to = 100, default = 20 }, all = schema.flag { optional = true },
        level = schema.choice { 1, 2, optional = true }, scale = schema.number { optional = true },
      })
    end
    assert.are.same({ limit = 20 }, ask {})
    assert.are.same({ limit = 5, all = true, level = 2, scale = -1.5 }, ask { limit = "5", all = "1", level = "2",
      scale = "-1.5" })
    assert.are.same({ limit = 20 }, ask { scale = "" })
    for _, text in ipairs { "0", "101", "0x10", "1e1000", "nan", " 5", "5.5", "five" } do
      assert.is_nil(ask { limit = text })
      assert.is_truthy(answered:find("400 invalid_parameter: limit must be a whole number", 1, true), answered)
    end
  end)

  it("says at load what no description can be", function()
    assert.has_error(function() schema.text { longest = 1 } end)
    assert.has_error(function() schema.object { a = 5 } end)
    assert.has_error(function() schema.list(5) end)
  end)
end)

describe("template", function()
  local template
  setup(function() template = require "fitnessally.template" end)

  local function render(text, data, filters) return template.compile(text, { name = "t.html", filters = filters })(data) end
  local function problem(text, data)
    local fine, message = pcall(render, text, data)
    assert.is_false(fine, message)
    return message
  end

  it("escapes what is put in, unless told not to", function()
    local data = { a = "<b>\"it's\" & more</b>", n = 5, f = false }
    assert.are.equal("&lt;b&gt;&quot;it&#39;s&quot; &amp; more&lt;/b&gt;", render("{{ a }}", data))
    assert.are.equal(data.a, render("{! a !}", data))
    assert.are.equal("9007199254740991 -1234567890123456 0.5 1e+21",
      render("{{ a }} {{ b }} {{ c }} {{ d }}", { a = 9007199254740991, b = -1234567890123456, c = 0.5, d = 1e21 }))
    assert.are.equal("5 false  x", render("{{ n }} {{ f }} {{ none }} x{# a remark {{ #}", data))
    assert.are.equal("{ } {x} }}", render("{ } {x} }}", data))
  end)

  it("knows conditions and loops", function()
    local text = "{% if n > 3 and not f %}large{% elseif n == 2 or n == 3 %}middle{% else %}small{% end %}"
    assert.are.equal("large", render(text, { n = 4 }))
    assert.are.equal("middle", render(text, { n = 2 }))
    assert.are.equal("small", render(text, { n = 1 }))
    assert.are.equal("<li>1: a</li><li>2: b</li>",
      render("{% for item in list %}<li>{{ loop.index }}: {{ item.name }}</li>{% end %}",
        { list = { { name = "a" }, { name = "b" } } }))
    assert.are.equal("a=1, b=2", render("{% for k, v in map %}{{ k }}={{ v }}{% if not loop.last %}, {% end %}{% end %}",
      { map = { b = 2, a = 1 } }))
    assert.are.equal("12 34 outer", render(
      "{% for row in rows %}{% for x in row %}{{ x }}{% end %} {% end %}{{ x }}",
      { rows = { { 1, 2 }, { 3, 4 } }, x = "outer" }))
    assert.are.equal("", render("{% for a in none %}x{% end %}", {}))
    assert.are.equal("a\nb\n", render("a\n{% if true %}\nb\n{% end %}", {}))
  end)

  it("calculates and filters", function()
    assert.are.equal("7 -1 ab 3 A B x%20y", render(
      "{{ 1 + 2 * 3 }} {{ -1 }} {{ 'a' .. \"b\" }} {{ #list }} {{ name | upper }} {{ 'x y' | url }}",
      { list = { 1, 2, 3 }, name = "a b" }))
    assert.are.equal("2", render("{{ map['a b'][1 + 1] }}", { map = { ["a b"] = { 1, 2 } } }))
    assert.are.equal("true false 9", render("{{ 2 >= 1 }} {{ 'a' == 'b' }} {{ (1 + 2) * 3 }}"))
    assert.are.equal('{"a":"\\u003c\\/script\\u003e"}', render("{! x | json !}", { x = { a = "</script>" } }))
    assert.are.equal("5!", render("{{ 5 | loud }}", {}, { loud = function(v) return v .. "!" end }))
  end)

  it("includes other files, and says which one is wrong", function()
    files["head.html"] = "<h1>{{ title }}</h1>\n"
    files["page.html"] = "{% include 'head.html' %}\nx"
    files["broken.html"] = "a\nb {{ }}"
    files["circle.html"] = "{% include 'circle.html' %}"
    assert.are.equal("<h1>&lt;T&gt;</h1>\nx", template.load("page.html") { title = "<T>" })
    assert.is_truthy(problem("{% include 'broken.html' %}"):find("^broken.html:2: an expression is missing"))
    assert.is_truthy(problem("\n{% include 'none.html' %}"):find("^t.html:2: there is no none.html"))
    assert.is_truthy(problem("{% include 'circle.html' %}"):find("nested too deep"))
    assert.has_error(function() template.load("none.html") end)
  end)

  it("names the line of what is wrong", function()
    for text, message in pairs {
      ["a\n{{ a b }}"] = "t.html:2: \"b\" is not expected here",
      ["{{ a"] = "t.html:1: {{ has no }}",
      ["\n\n{% if a %}"] = "t.html:3: if has no end",
      ["{% for x %}{% end %}"] = "t.html:1: for is written",
      ["{% end %}"] = "t.html:1: \"end\" ends nothing",
      ["{% while a %}"] = "t.html:1: \"while\" is no statement",
      ["{{ 'a }}"] = "t.html:1: a text has no end",
      ["{{ a ? b }}"] = "t.html:1: \"?\" means nothing here",
      ["{{ a | none }}"] = "t.html:1: there is no filter none",
      ["{{ f(1) }}"] = "t.html:1: \"(\" is not expected here",
      ["{{ (" .. ("("):rep(60) .. " }}"] = "t.html:1: it is nested too deep",
      ["\n{{ none.a }}"] = "t.html:2: none is a nil: it has no a",
      ["{{ t }}"] = "t.html:1: a table is no text",
      ["{{ t + 1 }}"] = "t.html:1: + wants two numbers, not a table and a number",
      ["{{ 1 < 'a' }}"] = "t.html:1: a number cannot be compared with a string",
      ["{{ 5 | join }}"] = "t.html:1: filter join: ",
      ["{% for x in 5 %}{% end %}"] = "t.html:1: for wants a table, not a number",
    } do
      local got = problem(text, { t = {} })
      assert.are.equal(message, got:sub(1, #message))
    end
  end)

  it("reaches nothing but its data", function()
    assert.are.equal("", render("{{ os }}{{ string }}{{ _G }}", {}))
    assert.is_truthy(problem("{{ s.upper }}", { s = "text" }):find("s is a string: it has no upper"))
    local guarded = setmetatable({}, { __index = function() error("asked") end })
    assert.are.equal("", render("{{ g.x }}", { g = guarded }))
  end)
end)

describe("time", function()
  local time
  setup(function() time = require "fitnessally.time" end)

  it("writes and reads ISO 8601", function()
    assert.are.equal("1970-01-01T00:00:00.000Z", time.iso(0))
    assert.are.equal("2000-02-29T12:34:56.789Z", time.iso(951827696789))
    assert.are.equal("1969-12-31T23:59:59.999Z", time.iso(-1))
    assert.are.equal(1795914123456, time.parse_iso(time.iso()))
    assert.are.equal(951827696789, time.parse_iso("2000-02-29T13:34:56.789+01:00"))
    assert.are.equal(951827696000, time.parse_iso("2000-02-29t12:34:56z"))
    assert.are.equal(951782400000, time.parse_iso("2000-02-29"))
    for day = -200000, 200000, 777 do
      assert.are.equal(day * 86400000, time.parse_iso(time.iso(day * 86400000)))
    end
  end)

  it("refuses what is none", function()
    for _, text in ipairs { "", "2001-02-29", "2000-13-01", "2000-00-10", "2000-01-32", "2000-01-01T24:00:00Z",
      "2000-01-01T00:60:00Z", "2000-01-01T00:00:00", "2000-01-01T00:00:00.Z", "2000-01-01T00:00:00+25:00",
      "2000-01-01 00:00", "yesterday", "20000101" } do
      local value, message = time.parse_iso(text)
      assert.is_nil(value, text)
      assert.is_string(message)
    end
  end)
end)

describe("url", function()
  local url
  setup(function() url = require "fitnessally.url" end)

  it("escapes and back", function()
    assert.are.equal("a%20b%2F%C3%A9~-._", url.encode("a b/é~-._"))
    assert.are.equal("a b/é", url.decode("a%20b%2F%C3%A9"))
    assert.are.equal("a+b", url.decode("a+b"))
    assert.are.equal("a b", url.decode("a+b", true))
    assert.is_nil((url.decode("a%2")))
    assert.is_nil((url.decode("%zz")))
  end)

  it("takes addresses apart and puts them together", function()
    for text, parts in pairs {
      ["https://user:pw@Example.org:8080/a/b?x=1&y#top"] = { scheme = "https", user = "user:pw", host = "example.org",
        port = 8080, path = "/a/b", query = "x=1&y", fragment = "top" },
      ["http://[::1]:80/"] = { scheme = "http", host = "[::1]", port = 80, path = "/" },
      ["/only/path"] = { path = "/only/path" },
      ["?q"] = { path = "", query = "q" },
      ["//host"] = { host = "host", path = "" },
      ["mailto:a@b.c"] = { scheme = "mailto", path = "a@b.c" },
      ["a?b?c#d"] = { path = "a", query = "b?c", fragment = "d" },
    } do
      assert.are.same(parts, url.parse(text))
      assert.are.equal(text:gsub("Example", "example"), url.build(parts))
    end
    assert.are.equal("https://a.b/c?x=1%202&y=1&y=2", url.build { scheme = "https", host = "a.b", path = "/c",
      query = { y = { 1, 2 }, x = "1 2" } })
    for _, text in ipairs { "http://a b/", "http://a:99999/", "http://a:x/", "http://[::1/", "a%2", "http://:80/",
      "http://\195\169/" } do
      local parts, message = url.parse(text)
      assert.is_nil(parts, text)
      assert.is_string(message)
    end
  end)

  it("reads queries", function()
    assert.are.same({ a = "1 2", b = { "x", "y", "z" }, c = "" }, url.parse_query("a=1+2&b=x&b=y&c&b=z"))
    assert.is_nil((url.parse_query("a=%")))
  end)
end)
