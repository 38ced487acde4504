#!/bin/sh
# Builds OUT_DIR/caf, as a user of Debian's package would. Where the package is
# missing it says so, and its exit status is 77.
#
#     build.sh OUT_DIR
set -eu

out=${1:?usage: build.sh OUT_DIR}
cxx=${CXX:-c++}
command -v "${cxx%% *}" >/dev/null 2>&1 || { echo "a C++ compiler is missing"; exit 77; }
# Later versions have no atoms, and other names for what is configured.
printf '#include <caf/config.hpp>\n#if CAF_VERSION / 100 != 17\n#error\n#endif\n' |
    $cxx -x c++ -E - >/dev/null 2>&1 || { echo "libcaf-dev 0.17 is missing"; exit 77; }

here=$(dirname "$0")
mkdir -p "$out"
$cxx -std=c++17 -O2 -DNDEBUG -Wall -Wextra -o "$out/caf" "$here"/*.cpp -lcaf_core -pthread
