#!/bin/bash
# redis-server as one of the suite's key-value servers: prints its port, and serves until SIGTERM.
#
#     redis kv dir=DIR [log=none|never|second|always] [io_threads=N]
set -euo pipefail

here=$(dirname "$0")
log=none threads=1 dir=
for word; do
    case $word in
    dir=*) dir=${word#*=} ;;
    log=*) log=${word#*=} ;;
    io_threads=*) threads=${word#*=} ;;
    esac
done
case $log in
none) keeping=(--appendonly no) ;;
never) keeping=(--appendonly yes --appendfsync no) ;;
second) keeping=(--appendonly yes --appendfsync everysec) ;;
always) keeping=(--appendonly yes --appendfsync always) ;;
esac

# It can't be told to choose a port. One that is free is very likely so a moment later.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
{
    until redis-cli -p "$port" ping >"$dir/ping" 2>&1 && grep -q PONG "$dir/ping"; do
        sleep 0.02
    done
    echo "port $port"
} &
exec "$here/redis-server" --bind 127.0.0.1 --port "$port" --dir "$dir" --logfile "$dir/log" --save '' \
    --io-threads "$threads" "${keeping[@]}" >/dev/null
