-- SPDX-License-Identifier: MIT
-- http_files.lua [-a address] [folder]: a small static file server. GET and HEAD, connections that
-- stay open, ranges, conditional requests, folders as their index.html or as a list; nothing
-- outside of the folder is ever sent, whatever the path says and wherever links lead. Listens at
-- the address, or at a free port of this machine, and prints where.
--
-- INT or TERM ends it in good order: no more connections are taken, those that wait for a request
-- are closed, answers that have begun are finished.

local goro = require "goro"
local fs = require "goro.fs"
local net = require "goro.net"
local signal = require "goro.signal"
local sync = require "goro.sync"

local IDLE, LINE, HEADERS, BODY, PIECE = 30, 8192, 100, 1 << 20, 1 << 17

local types = {
  css = "text/css; charset=utf-8", csv = "text/csv; charset=utf-8", gif = "image/gif",
  gz = "application/gzip", htm = "text/html; charset=utf-8",
  html = "text/html; charset=utf-8", ico = "image/x-icon", jpeg = "image/jpeg", jpg = "image/jpeg",
  js = "text/javascript; charset=utf-8",
  json = "application/json", lua = "text/plain; charset=utf-8", md = "text/markdown; charset=utf-8",
  mp3 = "audio/mpeg", mp4 = "video/mp4",
  pdf = "application/pdf", png = "image/png", svg = "image/svg+xml", tar = "application/x-tar",
  txt = "text/plain; charset=utf-8",
  wasm = "application/wasm", webm = "video/webm", webp = "image/webp", woff2 = "font/woff2",
  xml = "application/xml", zip = "application/zip",
}

local reasons = {
  [200] = "OK", [206] = "Partial Content", [301] = "Moved Permanently", [304] = "Not Modified",
  [400] = "Bad Request", [403] = "Forbidden", [404] = "Not Found",
  [405] = "Method Not Allowed", [413] = "Content Too Large", [416] = "Range Not Satisfiable",
  [431] = "Request Header Fields Too Large",
  [500] = "Internal Server Error", [501] = "Not Implemented", [505] = "HTTP Version Not Supported",
}

local function date(t) return os.date("!%a, %d %b %Y %H:%M:%S GMT", t // 1 | 0) end
local function escape_html(s)
  return (s:gsub('[&<>"]', { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end
local function escape_url(s)
  return (s:gsub("[^%w%-._~/]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- ---- requests ----

-- One request, or nil and the status to be answered with; just nil: the client has gone, or says
-- nothing.
local function read_request(conn, first)
  local method, target, version = first:match "^(%u+) (%S+) HTTP/(%d%.%d)\r?$"
  if not method then return nil, 400 end
  local headers, n = {}, 0
  while true do
    local line, _, code = conn:read "l"
    if not line then return nil, code == "EMSGSIZE" and 431 or nil end
    if line == "" or line == "\r" then break end
    n = n + 1
    if n > HEADERS then return nil, 431 end
    local name, value = line:match "^([^%s:]+):%s*(.-)%s*$"
    if not name then return nil, 400 end
    headers[name:lower()] = value
  end
  if version:sub(1, 2) ~= "1." then return nil, 505 end
  return { method = method, target = target, version = version, headers = headers }
end

-- What a request carries is read and forgotten, so that the next one is found behind it. Or the
-- status to be answered with.
local function skip_body(conn, headers)
  if headers["transfer-encoding"] then return 501 end
  local length = headers["content-length"]
  if not length then return nil end
  local n = length:find "^%d+$" and math.tointeger(tonumber(length))
  if not n then return 400 end
  if n > BODY then return 413 end
  conn:read(n)
end

local function stays_open(request)
  local wish = (request.headers.connection or ""):lower()
  return request.version ~= "1.0" and not wish:find("close", 1, true)
    or wish:find("keep-alive", 1, true) ~= nil
end

-- The names in a target's path, decoded; nil: it is none, or leads upwards.
local function names_of(target)
  local path = target:gsub("^%a+://[^/]*", ""):match "^/([^?#]*)"
  if not path then return nil end
  local names = {}
  for name in path:gmatch "[^/]+" do
    if name:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
    name = name:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    if name == ".." or name:find "[/\0]" then return nil end
    if name ~= "." then names[#names + 1] = name end
  end
  return names, path == "" or path:sub(-1) == "/"
end

-- ---- answers ----

-- Sends an answer's head. The length is that of what follows, which a HEAD leaves out.
local function head(request, status, length, fields)
  local lines = {
    ("HTTP/1.1 %d %s"):format(status, reasons[status]), "Server: goro", "Date: " .. date(os.time()),
  }
  if length then lines[#lines + 1] = "Content-Length: " .. length end
  if not request.open then lines[#lines + 1] = "Connection: close"
  elseif request.version == "1.0" then lines[#lines + 1] = "Connection: keep-alive" end
  for _, field in ipairs(fields or {}) do lines[#lines + 1] = field end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function send(conn, request, status, kind, body, ...)
  local text = head(request, status, #body, { "Content-Type: " .. kind, ... })
  return conn:write(text, request.method == "HEAD" and "" or body) ~= nil
end

local function refuse(conn, request, status, ...)
  local body = ("%d %s\n"):format(status, reasons[status])
  return send(conn, request, status, "text/plain; charset=utf-8", body, ...)
end

local function send_list(conn, request, path, names)
  local entries, message = fs.list(path)
  if not entries then return refuse(conn, request, message:find "^EACCES" and 403 or 404) end
  local title = escape_html("/" .. table.concat(names, "/"))
  local out = {
    "<!DOCTYPE html>\n<meta charset=utf-8>\n",
    ("<title>%s</title>\n<h1>%s</h1>\n<ul>\n"):format(title, title),
  }
  if #names > 0 then out[#out + 1] = '<li><a href="../">../</a>\n' end
  for _, entry in ipairs(entries) do
    local name = entry.name .. (entry.type == "directory" and "/" or "")
    out[#out + 1] = ('<li><a href="./%s">%s</a>\n'):format(escape_url(name), escape_html(name))
  end
  out[#out + 1] = "</ul>\n"
  return send(conn, request, 200, "text/html; charset=utf-8", table.concat(out))
end

-- First and last byte; false: there are no such bytes; nil: all of it (several ranges too, as HTTP
-- allows).
local function range_of(text, size)
  local first, last = text:match "^bytes=(%d*)%-(%d*)$"
  if not first or first == "" and last == "" then return nil end
  -- far beyond the end is beyond it
  local function number(s)
    return s ~= "" and (math.tointeger(tonumber(s)) or math.maxinteger) or nil
  end
  first, last = number(first), number(last)
  -- the last so many
  if not first then first, last = last > 0 and math.max(size - last, 0) or size, nil end
  if last and last < first then return nil end
  if first >= size then return false end
  return first, math.min(last or size - 1, size - 1)
end

-- `left` bytes of the file from where it stands; false: the client has gone, or the file has become
-- shorter than was said.
local function send_bytes(conn, file, start, left)
  while left > 0 do
    local data = file:read(math.min(left, PIECE))
    if not data or not conn:write(start, data) then return false end
    left = left - #data
    start = ""
  end
  return true
end

local function send_file(conn, request, path, stat)
  local modified = date(stat.mtime)
  local headers = request.headers
  if headers["if-modified-since"] == modified then
    return conn:write(head(request, 304, nil, { "Last-Modified: " .. modified })) ~= nil
  end
  local whole = not headers.range or (headers["if-range"] or modified) ~= modified
  local file <close>, message = fs.open(path, "rb")
  if not file then return refuse(conn, request, message:find "^EACCES" and 403 or 404) end
  local first, last
  if not whole then first, last = range_of(headers.range, stat.size) end
  if first == false then
    return refuse(conn, request, 416, ("Content-Range: bytes */%d"):format(stat.size))
  end
  local mime = types[(path:match "%.(%w+)$" or ""):lower()] or "application/octet-stream"
  local fields = {
    "Content-Type: " .. mime,
    "Last-Modified: " .. modified, "Accept-Ranges: bytes",
    first and ("Content-Range: bytes %d-%d/%d"):format(first, last, stat.size),
  }
  local length = first and last - first + 1 or stat.size
  local start = head(request, first and 206 or 200, length, fields)
  if request.method == "HEAD" or length == 0 then return conn:write(start) ~= nil end
  if first then file:seek("set", first) end
  return send_bytes(conn, file, start, length)
end

-- False: the connection is of no use any more.
local function answer(conn, request, root)
  if request.method ~= "GET" and request.method ~= "HEAD" then
    return refuse(conn, request, 405, "Allow: GET, HEAD")
  end
  local names, slash = names_of(request.target)
  if not names then return refuse(conn, request, 404) end
  local path = fs.realpath(root .. "/" .. table.concat(names, "/"))
  -- Links may lead anywhere.
  if not path or path ~= root and root ~= "/" and path:sub(1, #root + 1) ~= root .. "/" then
    return refuse(conn, request, 404)
  end
  local stat = fs.stat(path)
  if not stat then return refuse(conn, request, 404) end
  if stat.type == "file" and not slash then return send_file(conn, request, path, stat) end
  if stat.type ~= "directory" then
    return refuse(conn, request, stat.type == "file" and 404 or 403)
  end
  if not slash then
    return refuse(conn, request, 301, "Location: /" .. escape_url(table.concat(names, "/")) .. "/")
  end
  local index = fs.stat(path .. "/index.html")
  if index and index.type == "file" then
    local real = fs.realpath(path .. "/index.html")
    if real == path .. "/index.html" then return send_file(conn, request, real, index) end
  end
  return send_list(conn, request, path, names)
end

-- ---- connections ----

-- The next request's first line. In `idle` stand those who wait for it, and who stops the server
-- closes them. Whichever comes first of standing there and looking at `stopping`, one of the two
-- sees the other.
local function await_line(conn, idle, stopping)
  idle:set(conn, true)
  local line, _, code
  if not stopping:load() then
    -- some send one too many after a body
    repeat line, _, code = conn:read "l" until line ~= "" and line ~= "\r"
  end
  idle:delete(conn)
  return line, code
end

local function serve(conn, root, idle, stopping)
  local client <close> = conn
  client:set_timeout(IDLE)
  client:max_line(LINE)
  repeat
    local line, code = await_line(client, idle, stopping)
    if not line and code ~= "EMSGSIZE" then return end
    local request, status
    if line then request, status = read_request(client, line) else status = 431 end
    if not request and not status then return end
    status = status or skip_body(client, request.headers)
    if status then
      return refuse(client, { method = "GET", version = "1.1", headers = {} }, status)
    end
    request.open = stays_open(request) and not stopping:load()
  until not answer(client, request, root) or not request.open
end

-- ---- the program ----

local function fail(...)
  io.stderr:write("http_files: ", ...)
  io.stderr:write "\n"
  os.exit(1)
end

local address, folder = "127.0.0.1:0", nil
do
  local i = 1
  while arg[i] do
    if arg[i] == "-a" and arg[i + 1] then
      address = arg[i + 1]
      i = i + 1
    elseif not folder and arg[i]:sub(1, 1) ~= "-" then folder = arg[i]
    else fail "usage: http_files.lua [-a address] [folder]" end
    i = i + 1
  end
end

local root, problem = fs.realpath(folder or ".")
if not root then fail(problem) end
local stop = signal.notify("INT", "TERM")
local listener, message = net.listen("tcp", address)
if not listener then fail(message) end
print(("serving %s at http://%s/"):format(root, listener:addr()))
io.stdout:flush()

local idle, stopping = sync.map(), sync.atomic(false)
goro.go(function()
  stop:recv()
  signal.stop(stop) -- a second one ends the program at once
  stopping:store(true)
  listener:close()
  for conn in idle:pairs() do conn:close() end
end)

local group = goro.group {
  on_error = function(err) io.stderr:write("http_files: ", tostring(err), "\n") end,
}
while true do
  local conn, why, code = listener:accept()
  if conn then group:go(serve, conn, root, idle, stopping)
  elseif code == "ECANCELED" or code == "EBADF" then break -- closed while this waited, or before
  else io.stderr:write("http_files: ", why, "\n") end
end
group:wait()
print "stopped"
