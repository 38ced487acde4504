#!/bin/sh
# Builds the Erlang peer: OUT_DIR/erlang, which starts a virtual machine, and OUT_DIR/erlang-ebin. Where there is no
# Erlang it says so and exits with 77.
#
#     bench/peers/erlang/build.sh OUT_DIR
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

if ! command -v erl >/dev/null || ! command -v erlc >/dev/null; then
    echo 'no erl or no erlc (Debian: erlang-base)'
    exit 77
fi
mkdir -p "$out/erlang-ebin"
erlc -Wall -Werror -o "$out/erlang-ebin" "$here"/*.erl
install -m 755 "$here/erlang.sh" "$out/erlang"
