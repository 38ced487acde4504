#!/bin/sh
# Builds the Go peer: OUT_DIR/go. Where there is no Go it says so and exits with 77.
#
#     bench/peers/go/build.sh OUT_DIR
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

if ! command -v go >/dev/null; then
    echo 'no go (Debian: golang-go)'
    exit 77
fi
[ -n "${HOME:-}" ] || export GOCACHE="${GOCACHE:-$out/go-cache}"
cd "$here"
GOPROXY=off GOTOOLCHAIN=local go build -o "$out/go" .
