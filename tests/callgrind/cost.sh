#!/bin/sh
# ctest: timeout 600
# Cost follows work: a message, and an isolate's life, take the same number of
# instructions whatever was reserved. Each run is made twice, the second with
# twice the number: the difference is what the number costs, boot aside.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=${TINA_SOURCE:-$here/../..}
build=${TINA_BUILD:-$source/build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if grep -qs '^TINA_AUDIT:BOOL=ON' "$build/CMakeCache.txt"; then
    echo "this build audits: it walks what is reserved, and there is nothing to measure"
    exit 0
fi
command -v valgrind >"$work/log" || { echo "valgrind is missing" >&2; exit 1; }
# What pkg-config says is a list of words.
# shellcheck disable=SC2046
${CC:-cc} -O2 -std=gnu11 -I"$source/include" "$here/cost.c" "$build/libtina.a" \
    $(pkg-config --libs liburing) -pthread -o "$work/cost"

# instructions WHAT COUNT SLOTS TYPES FDS: of a whole run.
instructions()
{
    valgrind --tool=callgrind --callgrind-out-file="$work/out" "$work/cost" "$@" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 1; }
    sed -n 's/^==.*Collected *: *//p' "$work/log" | tr -d ' '
}

# cost WHAT COUNT SLOTS TYPES FDS: of one, in hundredths of an instruction.
cost()
{
    what=$1 count=$2
    shift 2
    once=$(instructions "$what" "$count" "$@")
    twice=$(instructions "$what" $((2 * count)) "$@")
    echo $(((twice - once) * 100 / count))
}

failed=0

# same NAME BASE OTHER: within 1 %.
same()
{
    distance=$(($3 - $2))
    [ "$distance" -ge 0 ] || distance=$((-distance))
    verdict=ok
    if [ $((distance * 100)) -gt "$2" ]; then
        verdict="MORE THAN 1 %"
        failed=1
    fi
    printf '%-52s %8d.%02d %8d.%02d  %s\n' "$1" $(($2 / 100)) $(($2 % 100)) $(($3 / 100)) $(($3 % 100)) "$verdict"
}

messages=${TINA_COST_COUNT:-100000}
spawns=$((messages / 10))

printf '%-52s %11s %11s\n' "instructions of one" base other
base=$(cost messages "$messages" 1000 1 16)
same "message: 1,000,000 slots, not 1,000" "$base" "$(cost messages "$messages" 1000000 1 16)"
same "message: between two types, not two of one" "$base" "$(cost messages "$messages" 1000 2 16)"
same "message: 60,000 descriptor slots, not 16" "$base" "$(cost messages "$messages" 1000 1 60000)"
base=$(cost spawns "$spawns" 1000 1 16)
same "isolate's life: 1,000,000 slots, not 1,000" "$base" "$(cost spawns "$spawns" 1000000 1 16)"
same "isolate's life: 60,000 descriptor slots, not 16" "$base" "$(cost spawns "$spawns" 1000 1 60000)"
exit $failed
