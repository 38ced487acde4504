# What the scripts here have in common: counting instructions under valgrind. They
# source it. It sets source, build and work, a directory that goes with the script.
# shellcheck shell=sh

source=${TINA_SOURCE:-$here/../..}
build=${TINA_BUILD:-$source/build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cached NAME: what the build was configured with; nothing where it was not.
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }

# or_fail COMMAND...: what it says is shown where it fails.
or_fail() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

[ -e "$build/CMakeCache.txt" ] || { echo "there is no build in $build: TINA_BUILD names it" >&2; exit 1; }
if [ "$(cached TINA_AUDIT)" = ON ]; then
    echo "this build audits: it walks what is reserved, and there is nothing to measure"
    exit 0
fi
command -v valgrind >"$work/log" || { echo "valgrind is missing" >&2; exit 1; }

# compile PROGRAM SOURCE...: with the library of the build, and what it is made of in sight.
compile()
{
    program=$1
    shift
    # What pkg-config says is a list of words.
    # shellcheck disable=SC2046
    or_fail "${CC:-cc}" -O2 -std=gnu11 -I"$source/include" -I"$source/src" "$@" "$build/libtina.a" \
        $(pkg-config --cflags --libs liburing) -pthread -o "$program"
}

# callgrind OPTION... PROGRAM ARGUMENT...: what it counts is written to $work/out and on; what it says, to $work/log.
# The environment, and which forms of its functions the C library picks for the machine, have no part in it.
callgrind()
{
    or_fail env -i PATH="$PATH" GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM \
        valgrind --tool=callgrind --callgrind-out-file="$work/out" "$@"
}
