#!/bin/bash
# The example kv as one of the suite's key-value servers: prints its port, and serves until SIGTERM.
#
#     kv kv dir=DIR [log=none|never|second|always] [shards=N] [backend=uring|epoll]
set -euo pipefail

here=$(dirname "$0")
dir= log=none options=()
for word; do
    case $word in
    dir=*) dir=${word#*=} ;;
    log=*) log=${word#*=} ;;
    shards=*) options+=(--shards "${word#*=}") ;;
    backend=*) options+=(--backend "${word#*=}") ;;
    esac
done
[ "$log" = none ] || options+=(--dir "$dir" --fsync "$log")

# Its port is told once each shard has read its log.
tell_port() {
    while read -r port; do
        while redis-cli -p "$port" mget {0..63} | grep -q LOADING; do sleep 0.02; done
        echo "port $port"
    done
}
exec "$here/kv-server" --port 0 "${options[@]}" > >(sed -un 's/.*listening on [^ ]*:\([0-9]*\).*/\1/p' | tell_port)
