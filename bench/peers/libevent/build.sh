#!/bin/sh
# Builds OUT_DIR/libevent, as a user of Debian's package would. Where the package is
# missing it says so, and its exit status is 77.
#
#     build.sh OUT_DIR
set -eu

out=${1:?usage: build.sh OUT_DIR}
cc=${CC:-cc}
command -v "${cc%% *}" >/dev/null 2>&1 || { echo "a C compiler is missing"; exit 77; }
echo '#include <event2/event.h>' | $cc -E - >/dev/null 2>&1 || { echo "libevent-dev is missing"; exit 77; }

here=$(dirname "$0")
mkdir -p "$out"
$cc -std=gnu11 -O2 -g -Wall -Wextra -o "$out/libevent" "$here"/*.c -levent -levent_pthreads -pthread
