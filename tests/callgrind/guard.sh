#!/bin/sh
# ctest: timeout 120
# What a message, a timer, an isolate's life and an echo take is kept in the file
# counts: more than 2 % above or below it is a failure. Counted are instructions, in
# ticks that one thread makes by hand, so that they are the same in each run.
#
#     tests/callgrind/guard.sh            compare
#     tests/callgrind/guard.sh --renew    write the file anew
#
# The library is that of TINA_BUILD, the default build: another compiler, or other
# options, make other code, of which the file says nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/callgrind/_measure.sh
. "$here/_measure.sh"
counts=$here/counts
kept_for='x86_64, GNU 12, RelWithDebInfo'

# The build, in the same words.
build_is()
{
    cat "$build"/CMakeFiles/*/CMakeCCompiler.cmake >"$work/compiler"
    compiler=$(sed -n 's/^set(CMAKE_C_COMPILER_ID "\(.*\)")/\1/p' "$work/compiler")
    version=$(sed -n 's/^set(CMAKE_C_COMPILER_VERSION "\([0-9]*\).*/\1/p' "$work/compiler")
    processor=$(uname -m)
    [ -z "$(cached CMAKE_SYSTEM_NAME)" ] || processor="cross compiled"
    extra=
    flags="$(cached CMAKE_C_FLAGS)$(cached CMAKE_C_FLAGS_RELWITHDEBINFO)$(cached TINA_SANITIZE)"
    [ "$flags" = "-O2 -g -DNDEBUG" ] || extra="$extra, other flags"
    [ "$(cached TINA_HOSTILE)" != ON ] || extra="$extra, hostile"
    [ "$(cached CMAKE_INTERPROCEDURAL_OPTIMIZATION)" != ON ] || extra="$extra, optimized across files"
    echo "$processor, $compiler $version, $(cached CMAKE_BUILD_TYPE)$extra"
}

# What each took, by one: "NAME INSTRUCTIONS" lines, in the order in which they were dumped.
measure()
{
    CC=$(cached CMAKE_C_COMPILER)
    compile "$work/guard" "$here/guard.c" "$here/stage.c"
    callgrind --collect-atstart=no "$work/guard"
    part=1
    while [ -e "$work/out.$part" ]; do
        awk '/^desc: Trigger: Client Request: / { name = $5; count = $6 }
             /^totals: / { printf "%s %.1f\n", name, $2 / count }' "$work/out.$part"
        part=$((part + 1))
    done
}

renew()
{
    {
        echo "# Instructions of one, on one thread: see guard.c for what each is. Of the default build:"
        echo "# $kept_for. To write this file anew, when a change is meant:"
        echo "#"
        echo "#     TINA_BUILD=<the build> tests/callgrind/guard.sh --renew"
        cat "$work/now"
    } >"$counts"
    cat "$counts"
}

compare()
{
    awk '
        function row(name, kept, now, difference) { printf "%-18s %10s %10s %11s", name, kept, now, difference }
        BEGIN { row("instructions of one", "kept", "now", "difference"); print "" }
        /^#/ { next }
        FILENAME == ARGV[1] { kept[$1] = $2; next }
        !($1 in kept) { row($1, "-", $2, ""); print "  NOT IN THE FILE"; failed = 1; next }
        {
            percent = ($2 - kept[$1]) * 100 / kept[$1]
            is_far = percent > 2 || percent < -2
            row($1, kept[$1], $2, sprintf("%+.2f %%", percent))
            print is_far ? "  MORE THAN 2 %" : "  ok"
            failed = failed || is_far
            delete kept[$1]
        }
        END {
            for (name in kept) { row(name, kept[name], "-", ""); print "  NOT MEASURED"; failed = 1 }
            exit failed + 0
        }' "$counts" "$work/now"
}

if [ "$(build_is)" != "$kept_for" ]; then
    echo "the counts are those of $kept_for; this build is $(build_is): there is nothing to compare"
    [ "${1:-}" != --renew ]
    exit
fi
measure >"$work/now"
if [ "${1:-}" = --renew ]; then
    renew
    exit
fi
if ! compare; then
    echo
    echo "Where the change is meant: TINA_BUILD=$build tests/callgrind/guard.sh --renew"
    exit 1
fi
