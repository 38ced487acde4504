#!/bin/sh
# What the trap, the trace and what operators see cost on the message path, and in an
# isolate's life: the library is built as it is, without its trace, without its trap,
# and without static probes and all that is counted by type and measured; the same
# program is linked with each. Instructions are counted under valgrind. CPU
# time is taken of many short runs, the programs in turn on one core. Where code
# lies matters about as much as what it does: every few turns all are linked anew,
# each with its objects in an order by chance, and the library as it is takes part
# twice, to show how far the same code differs from itself.
#
#     bench/price/run.sh [LAYOUTS]     default: 30
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
layouts=${1:-30}
turns_per_layout=5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

forms='as_is again without_trace without_trap without_stats' # table.py knows the order
core=$(taskset -cp $$ | sed 's/.*[ ,-]//')     # the last that this process may use

# or_fail COMMAND...: what it says is shown where it fails.
or_fail() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

# build FORM PRELUDE [PROBES]: the library's objects, flags and all as CMakeLists.txt has them for a release.
build()
{
    or_fail cmake -S "$source" -B "$work/$1" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS="$2" \
        -DTINA_PROBES="${3:-ON}" -DTINA_BUILD_TESTS=OFF -DTINA_BUILD_EXAMPLES=OFF -DTINA_BUILD_BENCH=OFF
    or_fail cmake --build "$work/$1" --parallel "$(nproc)" --target tina_objects
}

# link FORM BUILD OPTION...: the program, with the objects of that build.
link()
{
    program=$work/price_$1
    objects=$(find "$work/$2/CMakeFiles/tina_objects.dir" -name '*.o' | shuf)
    shift 2
    # Lists of words.
    # shellcheck disable=SC2046,SC2086
    or_fail "${CC:-cc}" -O2 -std=gnu11 -I"$source/include" "$here/price.c" $objects "$@" \
        $(pkg-config --libs liburing) -pthread -o "$program"
}

link_all()
{
    link as_is as_is
    link again as_is
    link without_trace without_trace
    link without_trap without_trap -Wl,--wrap=tina__trap_run
    link without_stats without_stats
}

# instructions FORM WHAT COUNT: of a whole run.
instructions()
{
    or_fail valgrind --tool=callgrind --callgrind-out-file="$work/out" "$work/price_$1" "$2" "$3"
    sed -n 's/^==.*Collected *: *//p' "$work/log"
}

# count WHAT COUNT: the instructions of one, in hundredths, of each form. Boot drops out of the difference of two runs.
count()
{
    line=$1
    for form in $forms; do
        once=$(instructions "$form" "$1" "$2")
        twice=$(instructions "$form" "$1" $((2 * $2)))
        line="$line $(((twice - once) * 100 / $2))"
    done
    echo "$line" >>"$work/instructions"
}

# take_turn WHAT COUNT: the picoseconds of one, of each form.
take_turn()
{
    line=$1
    for form in $forms; do
        line="$line $(taskset -c "$core" "$work/price_$form" "$1" "$2")"
    done
    echo "$line" >>"$work/times"
}

prelude="-I\"$source/include\" -I\"$source/src\" -include \"$here"
build as_is ''
build without_trace "$prelude/without_trace.h\""
build without_trap "$prelude/without_trap.h\""
build without_stats "$prelude/without_stats.h\"" OFF
link_all
count message 100000
count life 10000
for _ in $(seq "$layouts"); do
    link_all
    for _ in $(seq "$turns_per_layout"); do
        take_turn message 1000000
        take_turn life 100000
    done
done
python3 "$here/table.py" "$work/instructions" "$work/times"
