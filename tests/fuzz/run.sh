#!/bin/sh
# Builds a fuzz target with clang's fuzzer and sanitizers, and lets it try so many inputs, from its corpus on and always
# in the same way, or with another seed in another. What it finds stays in the folder where it was run.
#
# run.sh TARGET INPUTS [SEED]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=$1
inputs=$2
seed=${3-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags='-std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all'

unset CFLAGS LDFLAGS
printf '%s' '#include <stddef.h>
int LLVMFuzzerTestOneInput(const void *data, size_t size) { return data == NULL && size != 0; }
' >"$work/none.c"
# shellcheck disable=SC2086 # a list of words
if ! clang $flags "$work/none.c" -o "$work/none" 2>/dev/null; then
    echo "skipped: there is no clang with a fuzzer here"
    exit 0
fi
# shellcheck disable=SC2086
clang $flags -I"$here/../../include" -I"$here/../../src" "$here/${target}_fuzz.c" -o "$work/$target"
mkdir "$work/found" # new inputs that reach something go there, not into the source
"$work/$target" -runs="$inputs" -seed="$seed" -max_len=16384 -timeout=10 "$work/found" "$here/$target"
