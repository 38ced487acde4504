#!/bin/sh
# How fast a simulation runs: builds the library as it is released, and runs pairs.c
# with it on one core.
#
#     bench/simulation/run.sh [TURNS]     default: 5; the median of so many
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake -S "$source" -B "$work/b" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTINA_BUILD_TESTS=OFF -DTINA_BUILD_EXAMPLES=OFF >"$work/log"
cmake --build "$work/b" --parallel "$(nproc)" --target tina_static >>"$work/log"
# shellcheck disable=SC2046 # a list of words
cc -O2 -I "$source/include" "$here/pairs.c" "$work/b/libtina.a" $(pkg-config --libs liburing) -pthread -o "$work/pairs"
core=$(taskset -cp $$ | sed 's/.*[ ,-]//') # the last that this process may use
taskset -c "$core" "$work/pairs" "$@"
