#!/bin/sh
# Builds the Tokio peer with the crates of Debian's packages: OUT_DIR/tokio. Nothing is downloaded. Where something is
# missing it says so and exits with 77.
#
#     bench/peers/tokio/build.sh OUT_DIR
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
registry=/usr/share/cargo/registry # where Debian's packages put crates
work=$out/tokio-build

if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    echo 'no cargo or no rustc (Debian: cargo)'
    exit 77
fi

# A copy, since cargo writes Cargo.lock beside the manifest, for the versions that this machine has.
mkdir -p "$work"
cp -R "$here/Cargo.toml" "$here/src" "$work"
cd "$work"

set -- --offline --config 'source.crates-io.replace-with="debian"' --config "source.debian.directory=\"$registry\""
if ! cargo generate-lockfile "$@" 2>"$work/log"; then
    echo "$(sed -n 's/^error: //p' "$work/log" | head -n 1) in $registry (Debian: librust-tokio-dev)"
    exit 77
fi
cargo build --quiet --release --target-dir "$work/target" "$@"
cp "$work/target/release/tokio" "$out/tokio"
