-- SPDX-License-Identifier: MIT
rockspec_format = "3.0"
package = "goro"
version = "scm-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "Goroutines, channels and select for stock Lua 5.4, in parallel on all cores",
  detailed = [[
A C extension that runs Lua functions as goroutines: each in an isolated Lua state,
scheduled M:N onto operating-system threads, with Go's channels, select and timers.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = {
  "lua >= 5.4, < 5.5",
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "RelWithDebInfo",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
  },
}
