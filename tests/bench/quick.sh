#!/bin/sh
# ctest: timeout 240
# ctest: alone
# The benchmark suite does not rot: every program of libtina and every floor runs for a moment, does its work and
# reports it, and the pages are written. How fast they are is not looked at.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=${TINA_SOURCE:-$here/../..}
build=${TINA_BUILD:-$source/build}

if grep -qs '^TINA_AUDIT:BOOL=ON' "$build/CMakeCache.txt"; then
    echo "this build audits: it walks what is reserved, and there is nothing to measure"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$source/scripts/bench" --quick --build "$build" --results "$work"
grep -q '^| two isolates bounce a message |' "$work/README.md" # the page has its table
