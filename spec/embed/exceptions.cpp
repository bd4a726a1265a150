/* SPDX-License-Identifier: MIT */
/* exceptions.cpp - a program in C++ with Lua inside: exceptions SCRIPT. Built with a Lua in C, and
 * with a Lua in C++, in which Lua's own errors are exceptions too.
 *
 * The script has throws(): throws a std::runtime_error; calls(f, …): calls f, with an object on the
 * C++ stack that is destroyed when an exception passes; living(): how many such objects there are;
 * send(channel): sends from C++; language: "C" or "C++", Lua's. What the script throws is caught,
 * the state is closed, and the program says so. */
#include <atomic>
#include <cstdio>
#include <stdexcept>

#include <lua.hpp>

#include "lib/goro.h"

namespace {

std::atomic<int> living{0};

struct Living {
  Living() { ++living; }
  ~Living() { --living; }
};

int l_throws(lua_State *) {
  Living here;
  throw std::runtime_error("thrown in C++");
}

int l_calls(lua_State *L) {
  Living here;
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

int l_living(lua_State *L) {
  lua_pushinteger(L, living);
  return 1;
}

/* A message from C++, by the public header. */
int l_send(lua_State *L) {
  const goro_Api *goro = goro_get(L);
  goro_Chan *chan = goro->chan_get(L, 1);
  goro_Value v = {};
  v.kind = GORO_STRING;
  v.u.string.bytes = "from C++";
  v.u.string.len = 8;
  lua_pushboolean(L, goro->chan_send(chan, &v, 0) == GORO_OK);
  goro->chan_release(chan);
  return 1;
}

const luaL_Reg functions[] = {{"throws", l_throws},
                              {"calls", l_calls},
                              {"living", l_living},
                              {"send", l_send},
                              {nullptr, nullptr}};

/* Is Lua in C++? Then its pcall catches what a function throws. */
bool lua_is_cpp() {
  lua_State *L = luaL_newstate();
  lua_pushcfunction(L, l_throws);
  bool caught = false;
  try {
    lua_pcall(L, 0, 0, 0);
    caught = true;
  } catch (const std::exception &) {}
  lua_close(L);
  return caught;
}

} // namespace

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_pushglobaltable(L);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
  lua_pushstring(L, lua_is_cpp() ? "C++" : "C");
  lua_setglobal(L, "language");
  int status = 1;
  try {
    if (argc > 1 && luaL_dofile(L, argv[1]) == LUA_OK) status = 0;
    else std::fprintf(stderr, "%s\n", argc > 1 ? luaL_tolstring(L, -1, nullptr) : "no script");
  } catch (const std::exception &e) {
    std::printf("caught: %s\n", e.what());
    status = 0;
  }
  lua_close(L);
  std::printf("closed, %d living\n", living.load());
  return status;
}
