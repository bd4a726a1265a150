-- SPDX-License-Identifier: MIT
-- examples/http_files.lua as its users see it: curl, and connections by hand for what curl does not send.

local helper = require "spec.helper"
local socket = require "socket"

local quote = helper.quote

local scratch, port

local function path(name) return scratch .. "/" .. name end

local function shell(command) assert(os.execute(command), command) end

local function write(name, data)
  local f <close> = assert(io.open(path(name), "wb"))
  assert(f:write(data))
end

local function read(name)
  local f = io.open(path(name), "rb")
  if not f then return "" end
  local data = f:read "a"
  f:close()
  return data
end

-- Starts the server in a process of its own; its end is what end_of waits for.
local function start(name, folder)
  local word = quote(path(name))
  shell(("(timeout --foreground -k 5 %d %s examples/http_files.lua %s >%s.out 2>%s.err & echo $! >%s.pid; wait $!; echo $? >%s.code) &"):format(
    helper.limit(120), helper.interpreter(), quote(folder), word, word, word, word))
  local found
  assert(helper.eventually(function()
    found = read(name .. ".out"):match "http://127%.0%.0%.1:(%d+)/\n"
    return found
  end), read(name .. ".err"))
  return tonumber(found)
end

local function signal(name, sig) shell(("kill -%s %s"):format(sig, read(name .. ".pid"))) end

local function end_of(name)
  assert.is_true(helper.eventually(function() return read(name .. ".code") ~= "" end, 30), "it does not end")
  return tonumber(read(name .. ".code")), read(name .. ".out"):match "\n(.*)", read(name .. ".err")
end

-- Status, headers by their names, body.
local function curl(target, options, at)
  shell(("curl -s --max-time 60 --path-as-is -o %s -D %s %s %s </dev/null"):format(
    quote(path "body"), quote(path "head"), options or "", quote(("http://127.0.0.1:%d%s"):format(at or port, target))))
  local head, headers = read "head", {}
  for name, value in head:gmatch "([%w%-]+): ([^\r]*)\r\n" do headers[name:lower()] = value end
  local body = read "body"
  os.remove(path "body")
  return tonumber(head:match "^HTTP/1.1 (%d+) "), headers, body
end

local function connect(at)
  local c = assert(socket.connect("127.0.0.1", at or port))
  c:settimeout(helper.limit(20))
  return c
end

-- All that comes until the server closes.
local function raw(request)
  local c = connect()
  assert(c:send(request))
  local data, _, rest = c:receive "*a"
  c:close()
  return data or rest
end

setup(function()
  scratch = os.tmpname()
  os.remove(scratch)
  shell("mkdir -p " .. quote(scratch) .. "/www/sub " .. quote(scratch) .. "/www/site " .. quote(scratch) .. "/www2")
  write("secret", "not for you")
  write("www2/x", "a neighbour")
  write("www/a.txt", "0123456789")
  write("www/empty", "")
  write("www/page.HTML", "<p>")
  write("www/sub/<b> & %41\"ü", "odd")
  write("www/site/index.html", "the index")
  write("www/big.bin", ("0123456789abcdef"):rep(3 << 16))
  shell(("ln -s ../secret %s; ln -s ../../www2 %s; ln -s a.txt %s; mkfifo %s"):format(quote(path "www/out"), quote(path "www/sub/up"), quote(path "www/in"),
    quote(path "www/fifo")))
  port = start("server", path "www")
end)

teardown(function()
  signal("server", "TERM")
  local code, out, err = end_of "server"
  shell("rm -rf " .. quote(scratch))
  assert(code == 0 and out == "stopped\n" and err == "", err)
end)

describe("http_files", function()
  it("sends files, with their types", function()
    local status, headers, body = curl "/a.txt"
    assert.equal(200, status)
    assert.equal("0123456789", body)
    assert.equal("10", headers["content-length"])
    assert.equal("text/plain; charset=utf-8", headers["content-type"])
    assert.is_truthy(headers.date:find "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$")
    assert.equal("text/html; charset=utf-8", select(2, curl "/page.HTML")["content-type"])
    status, headers, body = curl "/big.bin?x=/../y#z"
    assert.equal(200, status)
    assert.equal("application/octet-stream", headers["content-type"])
    assert.is_true(body == ("0123456789abcdef"):rep(3 << 16))
    status, headers, body = curl "/empty"
    assert.same({ 200, "0", "" }, { status, headers["content-length"], body })
    assert.same({ 200, "0123456789" }, { (curl "/in"), (select(3, curl "/in")) })
    assert.equal("0123456789", select(3, curl "/.//%2e/a%2Etxt"))
  end)

  it("sends heads alone", function()
    local status, headers, body = curl("/a.txt", "-I")
    assert.same({ 200, "10" }, { status, headers["content-length"] })
    assert.is_nil(body:find("0123456789", 1, true))
    assert.equal(404, (curl("/none", "-I")))
    assert.is_true(tonumber(select(2, curl("/", "-I"))["content-length"]) > 0)
  end)

  it("sends ranges", function()
    local function range(text, target)
      local status, headers, body = curl(target or "/a.txt", "-H " .. quote("Range: " .. text))
      return { status, headers["content-range"], body }
    end
    assert.same({ 206, "bytes 0-3/10", "0123" }, range "bytes=0-3")
    assert.same({ 206, "bytes 9-9/10", "9" }, range "bytes=9-9")
    assert.same({ 206, "bytes 4-9/10", "456789" }, range "bytes=4-")
    assert.same({ 206, "bytes 4-9/10", "456789" }, range "bytes=4-99999999999999999999")
    assert.same({ 206, "bytes 7-9/10", "789" }, range "bytes=-3")
    assert.same({ 206, "bytes 0-9/10", "0123456789" }, range "bytes=-99999999999999999999")
    for _, beyond in ipairs { "bytes=10-", "bytes=-0", "bytes=99999999999999999999-" } do
      assert.same({ 416, "bytes */10", "416 Range Not Satisfiable\n" }, range(beyond))
    end
    assert.same({ 416, "bytes */0", "416 Range Not Satisfiable\n" }, range("bytes=0-", "/empty"))
    for _, other in ipairs { "bytes=5-2", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "x", "bytes=a-b" } do
      assert.same({ 200, nil, "0123456789" }, { range(other)[1], range(other)[2], range(other)[3] })
    end
    local big = range("bytes=1000000-2999999", "/big.bin")
    assert.is_true(big[1] == 206 and big[3] == ("0123456789abcdef"):rep(3 << 16):sub(1000001, 3000000))
    -- What was begun is gone on with, by curl's own means.
    write("half", ("0123456789abcdef"):rep(1000))
    shell(("curl -s -C - -o %s http://127.0.0.1:%d/big.bin"):format(quote(path "half"), port))
    assert.is_true(read "half" == ("0123456789abcdef"):rep(3 << 16))
  end)

  it("sends what was not changed only once", function()
    local _, headers = curl "/a.txt"
    local modified = headers["last-modified"]
    local status, _, body = curl("/a.txt", "-H " .. quote("If-Modified-Since: " .. modified))
    assert.same({ 304, "" }, { status, body })
    assert.equal(200, (curl("/a.txt", "-H 'If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT'")))
    local function if_range(text) return (curl("/a.txt", ("-r 0-1 -H %s"):format(quote("If-Range: " .. text)))) end
    assert.same({ 206, 200 }, { if_range(modified), if_range "Thu, 01 Jan 1970 00:00:00 GMT" })
  end)

  it("shows folders", function()
    local status, headers, body = curl "/sub/"
    assert.same({ 200, "text/html; charset=utf-8" }, { status, headers["content-type"] })
    assert.is_truthy(body:find('<a href="./%3Cb%3E%20%26%20%2541%22%C3%BC">&lt;b&gt; &amp; %41&quot;ü</a>', 1, true), body)
    assert.equal("odd", select(3, curl "/sub/%3Cb%3E%20%26%20%2541%22%C3%BC"))
    status, headers = curl "/sub"
    assert.same({ 301, "/sub/" }, { status, headers.location })
    assert.equal("the index", select(3, curl "/site/"))
    assert.equal("the index", select(3, curl("/site", "-L")))
    assert.is_truthy(select(3, curl "/"):find('<a href="./sub/">sub/</a>', 1, true))
  end)

  it("sends nothing from outside", function()
    for _, target in ipairs { "/../secret", "/..%2fsecret", "/%2e%2e/secret", "/%2E%2E%2Fsecret", "/sub/../../secret", "/sub/../a.txt", "/sub/%2e%2e/%2e%2e/secret",
      "/out", "/sub/up/x", "/sub/up/", "/../www2/x", "//../secret", "/a.txt%00", "/a.txt%2f", "/%", "/%zz", "/..", "/../", "/a.txt/", "/none", "/a.txt/x",
      "/" .. ("x"):rep(300), "/" .. ("y/"):rep(2500) } do
      local status, _, body = curl(target)
      assert.same({ 404, "404 Not Found\n" }, { status, body }, target)
    end
    for _, target in ipairs { "secret", "../secret", "*", "" } do
      local answer = raw(("GET %s HTTP/1.1\r\nConnection: close\r\n\r\n"):format(target))
      assert.is_truthy(answer:find "^HTTP/1.1 40[04] ", target)
    end
    assert.is_truthy(raw("GET http://somewhere/a.txt HTTP/1.1\r\nConnection: close\r\n\r\n"):find "0123456789$")
    assert.equal(403, (curl "/fifo"))
  end)

  it("keeps connections open, as long as the client likes", function()
    local url = ("http://127.0.0.1:%d/a.txt"):format(port)
    shell(("curl -s -w '%%{num_connects}\\n' %s %s %s >%s"):format(url, url, url, quote(path "connects")))
    assert.equal("01234567891\n01234567890\n01234567890\n", read "connects")
    -- Several requests at once: the answers come in their order.
    local answers = raw("GET /a.txt HTTP/1.1\r\n\r\n\r\nHEAD /a.txt HTTP/1.1\r\n\r\nGET /none HTTP/1.1\n\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /"
      .. "GET /a.txt HTTP/1.1\r\nCONNECTION: Close\r\n\r\nGET /never HTTP/1.1\r\n\r\n")
    local statuses = {}
    for status in answers:gmatch "HTTP/1.1 (%d+) " do statuses[#statuses + 1] = status end
    assert.same({ "200", "200", "404", "405", "200" }, statuses)
    local old = raw "GET /a.txt HTTP/1.0\r\n\r\n"
    assert.is_truthy(old:find "Connection: close\r\n" and old:find "\r\n\r\n0123456789$", old)
    old = raw "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /a.txt HTTP/1.0\r\n\r\n"
    assert.equal(2, select(2, old:gsub("\r\n\r\n0123456789", "")))
  end)

  it("refuses what is no request", function()
    local function refused(status, request)
      local answer = raw(request)
      assert.is_truthy(answer:find("^HTTP/1.1 " .. status .. " .*Connection: close"), answer)
    end
    refused(400, "hello\r\n\r\n")
    refused(400, "GET  / HTTP/1.1\r\n\r\n")
    refused(400, "GET / HTTP/1.1\r\nno colon\r\n\r\n")
    refused(400, "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")
    refused(413, "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
    refused(431, "GET / HTTP/1.1\r\n" .. ("A: b\r\n"):rep(101) .. "\r\n")
    refused(431, "GET /" .. ("x"):rep(9000) .. " HTTP/1.1\r\n\r\n")
    refused(501, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    refused(505, "GET / HTTP/2.0\r\n\r\n")
    assert.same({ 405, "GET, HEAD" }, { (curl("/a.txt", "-X DELETE")), select(2, curl("/a.txt", "-X DELETE")).allow })
  end)

  it("serves many at once, one that does not read among them", function()
    local idle = {}
    for i = 1, 20 do
      idle[i] = connect()
      assert(idle[i]:send "GET /big.bin HTTP/1.1\r\n\r\n")
    end
    local urls = ("http://127.0.0.1:%d/big.bin?[1-100]"):format(port)
    shell(("curl -s -Z --no-progress-meter --parallel-max 20 -o %s %s"):format(quote(path "many_#1"), quote(urls)))
    for i = 1, 100 do
      assert.equal(16 * (3 << 16), #read("many_" .. i))
      os.remove(path("many_" .. i))
    end
    for _, c in ipairs(idle) do c:close() end
  end)

  it("ends in good order", function()
    shell("truncate -s 64M " .. quote(path "www/huge.bin")) -- more than sockets hold
    for _, sig in ipairs { "TERM", "INT" } do
      local name = "ends" .. sig
      local at = start(name, path "www")
      assert.equal(200, (curl("/a.txt", nil, at)))
      local waits, reads, new = connect(at), connect(at), connect(at)
      assert(waits:send "GET /a.txt HTTP/1.1\r\n\r\n" and waits:receive "*l")
      assert(reads:send "GET /huge.bin HTTP/1.1\r\n\r\n" and reads:receive "*l")
      assert(new:send "GET /a.t")
      helper.eventually(function() return false end, 0.2)
      signal(name, sig)
      assert.is_true(helper.eventually(function() return not socket.connect("127.0.0.1", at) end), "it is closed")
      assert.is_truthy(waits:receive "*a":find "0123456789$")
      assert.equal("", read(name .. ".code"), "it waits for what has begun")
      local rest = reads:receive "*a"
      assert.equal(64 << 20, #rest:match "\r\n\r\n(.*)$")
      assert.same({ 0, "stopped\n", "" }, { end_of(name) })
      for _, c in ipairs { waits, reads, new } do c:close() end
      os.remove(path(name .. ".code"))
    end
    os.remove(path "www/huge.bin")
  end)

  it("refuses wrong arguments", function()
    local function refuses(message, words)
      shell(("%s examples/http_files.lua %s >%s 2>&1; echo $? >>%s"):format(helper.interpreter(), words, quote(path "said"), quote(path "said")))
      assert.equal("http_files: " .. message .. "\n1\n", read "said")
    end
    refuses("usage: http_files.lua [-a address] [folder]", "a b")
    refuses("usage: http_files.lua [-a address] [folder]", "-x")
    refuses("ENOENT: no such file or directory: /no/such", "/no/such")
    refuses("EADDRINUSE: address already in use: 127.0.0.1:" .. port, "-a 127.0.0.1:" .. port)
  end)
end)
