#!/bin/sh
# Makes OUT_DIR/redis, which starts redis-server as the suite starts its programs.
# Where Debian's package is missing it says so, and its exit status is 77.
#
#     build.sh OUT_DIR
set -eu

out=${1:?usage: build.sh OUT_DIR}
# Debian's redis-tools have the server under another name, without the service that redis-server installs.
server=$(command -v redis-server || command -v redis-check-rdb) || { echo "redis-tools is missing"; exit 77; }
command -v redis-cli >/dev/null 2>&1 || { echo "redis-tools is missing"; exit 77; }

mkdir -p "$out"
ln -sf "$server" "$out/redis-server"
cp "$(dirname "$0")/redis.sh" "$out/redis"
chmod +x "$out/redis"
