#!/bin/sh
# Installs the library that lies in a build folder somewhere else, or unpacks its packages, then builds and runs programs
# against what was installed: in C and in C++, shared and static, by find_package and by pkg-config.
#
# run.sh BUILD | run.sh --packages FOLDER
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the library itself was compiled with must not reach its users.
unset CFLAGS CXXFLAGS LDFLAGS

if [ "$1" = --packages ]; then
    echo "== unpack"
    for package in "$2"/*.deb; do
        dpkg-deb -x "$package" "$work/root"
    done
    prefix=$work/root/usr
else
    echo "== install"
    cmake --install "$1" --prefix "$work/first" >/dev/null
    mv "$work/first" "$work/prefix" # an installed tree may be moved
    prefix=$work/prefix
fi

echo "== find_package"
cmake -G Ninja -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/cmake"
ctest --test-dir "$work/cmake" --output-on-failure --no-tests=error

echo "== pkg-config"
directory=$(dirname "$(find "$prefix" -name tina.pc)")
library=$(dirname "$directory")
export PKG_CONFIG_PATH="$directory"
flags='-Wall -Wextra -Wpedantic -Werror'
version=$(pkg-config --modversion tina)

# try NAME COMPILER...: compiles to NAME with the arguments, runs it, and looks at what it says
try() {
    name=$1
    shift
    "$@" -o "$work/$name"
    said=$(LD_LIBRARY_PATH="$library" "$work/$name")
    echo "$name: $said"
    case $said in
    "libtina $version from C"*) ;;
    *) exit 1 ;;
    esac
}

# shellcheck disable=SC2046,SC2086 # lists of words
{
    try c_shared ${CC:-cc} -std=c11 $flags "$here/consumer.c" $(pkg-config --cflags --libs tina)
    try cpp_shared ${CXX:-c++} -std=c++17 $flags "$here/consumer.cpp" $(pkg-config --cflags --libs tina)
    # The archive is named: beside a shared library, -ltina would find that one.
    static_libs=$(pkg-config --static --libs tina | sed "s|-ltina|$library/libtina.a|")
    try c_static ${CC:-cc} -std=c11 $flags "$here/consumer.c" $(pkg-config --cflags tina) $static_libs
    try cpp_static ${CXX:-c++} -std=c++17 $flags "$here/consumer.cpp" $(pkg-config --cflags tina) $static_libs
}
