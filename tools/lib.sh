# SPDX-License-Identifier: MIT
# lib.sh - what the tools share: installing what is missing, building. Sourced, not run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${GORO_BUILD_DIR:-$root/build}

die() { printf 'goro: %s\n' "$*" >&2; exit 1; }

# missing NAME=PACKAGE…: the packages whose command (or, with a slash, file) is not there
missing() {
  local pair
  for pair in "$@"; do
    case ${pair%%=*} in
      */*) compgen -G "${pair%%=*}" >/dev/null || echo "${pair#*=}" ;;
      *) command -v "${pair%%=*}" >/dev/null 2>&1 || echo "${pair#*=}" ;;
    esac
  done | sort -u
}

# need NAME=PACKAGE…: installs what is missing by apt-get, as root or through sudo; does nothing when all is there
need() {
  local packages as_root=
  packages=$(missing "$@")
  [ -n "$packages" ] || return 0
  packages=${packages//$'\n'/ }
  command -v apt-get >/dev/null 2>&1 || die "these Debian packages, or what your system calls them, are missing: $packages. Install them and run this again."
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || die "these packages are missing: $packages. Run as root: apt-get install $packages"
    as_root=sudo
  fi
  echo "goro: installing $packages" >&2
  { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $packages; } >/tmp/goro-apt.$$ 2>&1 </dev/null ||
    { tail -n 20 /tmp/goro-apt.$$ >&2; rm -f /tmp/goro-apt.$$; die "apt-get could not install: $packages"; }
  rm -f /tmp/goro-apt.$$
}

need_build() {
  need cc=gcc make=make cmake=cmake pkg-config=pkg-config lua5.4=lua5.4 /usr/include/lua5.4/lua.h=liblua5.4-dev flock=util-linux
}

need_test() {
  need_build
  need busted=lua-busted luacheck=lua-check clang-format=clang-format luarocks=luarocks spin=spin git=git
}

# build DIR [cmake options…]; quiet unless it fails
build() {
  local dir=$1 log
  shift
  mkdir -p "$dir"
  exec 9>"$dir/.lock"
  flock 9
  log=$dir/build.log
  if ! { cmake -S "$root" -B "$dir" "$@" && cmake --build "$dir" -j"$(nproc)"; } >"$log" 2>&1 </dev/null; then
    grep -E 'error|Error|goro needs' -A3 "$log" >&2 || cat "$log" >&2
    flock -u 9
    die "the build failed; all of it is in $log"
  fi
  exec 9>&-
}

# lua_env DIR: prints the two assignments
lua_env() {
  printf 'export LUA_PATH=%q\nexport LUA_CPATH=%q\n' "$root/lua/?.lua;$root/lua/?/init.lua;$root/?.lua;;" "$1/?.so;;"
}
