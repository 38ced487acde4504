#!/bin/bash
# The example kv as one of the suite's key-value servers: prints its port, and serves until SIGTERM.
#
#     kv kv dir=DIR [log=never|second|always] [shards=N] [backend=uring|epoll]
set -euo pipefail

here=$(dirname "$0")
options=()
for word; do
    case $word in
    dir=*) options+=(--dir "${word#*=}") ;;
    log=none) ;;
    log=*) options+=(--fsync "${word#*=}") ;;
    shards=*) options+=(--shards "${word#*=}") ;;
    backend=*) options+=(--backend "${word#*=}") ;;
    esac
done
exec "$here/kv-server" --port 0 "${options[@]}" > >(sed -un 's/.*listening on [^ ]*:\([0-9]*\).*/port \1/p')
