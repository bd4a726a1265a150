# SPDX-License-Identifier: MIT
# lib.sh - what the tools share: installing what is missing, building. Sourced, not run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { printf 'goro: %s\n' "$*" >&2; exit 1; }

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

build_dir=$(absolute "${GORO_BUILD_DIR:-$root/build}")

# missing NAME[|NAME…]=PACKAGE…: the packages of which none of the commands (or, with a slash, files) is there
missing() {
  local pair name names
  for pair in "$@"; do
    IFS='|' read -ra names <<<"${pair%%=*}"
    for name in "${names[@]}"; do
      case $name in
        */*) [ -e "$name" ] && continue 2 ;;
        *) command -v "$name" >/dev/null 2>&1 && continue 2 ;;
      esac
    done
    echo "${pair#*=}"
  done | sort -u
}

# need NAME[|NAME…]=PACKAGE…: installs what is missing by apt-get, as root or through sudo; does nothing when all is there.
# Nobody is asked anything, but that sudo may want a password where there is a terminal to type it.
need() {
  local packages as_root=() log
  packages=$(missing "$@")
  [ -n "$packages" ] || return 0
  packages=${packages//$'\n'/ }
  command -v apt-get >/dev/null 2>&1 ||
    die "these Debian packages, or what your system calls them, are missing: $packages. Install them and run this again."
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then die "these packages are missing: $packages. Run as root: apt-get install $packages"; fi
    if sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    elif [ -t 0 ] && [ -t 2 ]; then
      as_root=(sudo)
    else
      die "these packages are missing: $packages. sudo wants a password; run: sudo apt-get install $packages"
    fi
  fi
  echo "goro: installing $packages" >&2
  log=$(mktemp)
  # Old package lists may still do, so a failed update alone is no reason to stop. sudo clears the environment: hence env.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >"$log" 2>&1 </dev/null ||
    echo "goro: apt-get update failed; trying with the lists that are there" >&2
  # shellcheck disable=SC2086 # package names, one word each
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >>"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "apt-get could not install: $packages"
  fi
  rm -f "$log"
  packages=$(missing "$@")
  [ -z "$packages" ] || die "still missing after the installation: ${packages//$'\n'/ }"
}

need_build() {
  need cc=gcc /usr/include/stdio.h=libc6-dev make=make cmake=cmake pkg-config=pkg-config flock=util-linux \
    /usr/include/uv.h=libuv1-dev lua5.4=lua5.4 "/usr/include/lua5.4/lua.h|/usr/local/include/lua.h|/usr/include/lua.h=liblua5.4-dev"
}

need_test() {
  need_build
  need busted=lua-busted luarocks=luarocks spin=spin valgrind=valgrind git=git timeout=coreutils script=bsdutils \
    "/usr/share/lua/5.4/socket.lua=lua-socket" curl=curl nc=netcat-openbsd socat=socat redis-server=redis-server
}

need_lint() {
  need luacheck=lua-check clang-format=clang-format git=git
}

# build DIR [cmake options…]; says nothing unless there are warnings or it fails. Builds of one DIR wait for each other.
build() {
  local dir=$1 log
  shift
  mkdir -p "$dir"
  exec 9>"$dir/.lock"
  flock 9
  log=$dir/build.log
  if ! { cmake -S "$root" -B "$dir" "$@" && cmake --build "$dir" -j"$(nproc)"; } >"$log" 2>&1 </dev/null 9>&-; then
    grep -E 'error|Error|undefined|goro needs' -A3 "$log" >&2 || cat "$log" >&2
    die "the build failed; all of it is in $log"
  fi
  grep -E 'warning:' -A3 "$log" >&2 || true
  exec 9>&-
}

# build_release DIR [cmake options…]: what the rock builds
build_release() {
  local dir=$1
  shift
  build "$dir" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DGORO_TESTING=OFF -DGORO_EMBED_TESTS=OFF -DGORO_SYSTEM_ALLOC=OFF "$@"
}

# lua_env DIR: shell commands that let any lua5.4 find this tree. The variables with a version would win over those without.
lua_env() {
  printf 'unset LUA_PATH_5_4 LUA_CPATH_5_4\n'
  printf 'export LUA_PATH=%q\nexport LUA_CPATH=%q\n' "$root/lua/?.lua;$root/lua/?/init.lua;$root/?.lua;;" "$1/?.so;;"
}
