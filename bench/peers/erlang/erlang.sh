#!/bin/sh
# Starts Erlang for one workload, with as many schedulers as the workload has threads.
#
#     erlang WORKLOAD [NAME=VALUE]...
set -eu

here=$(cd "$(dirname "$0")" && pwd)
schedulers=1
processes=262144 # at most; what is usual
wait=none # schedulers sleep at once where nothing is to be done, as is advised where cores are shared

case "${1:-}" in
stream | round_trip) schedulers=2 ;;
esac
for argument; do
    case "$argument" in
    shards=*) schedulers=${argument#shards=} ;;
    isolates=*) [ "${argument#isolates=}" -lt 200000 ] || processes=$((${argument#isolates=} * 2)) ;;
    mode=spin) wait=very_long ;;
    esac
done

export ERL_CRASH_DUMP_BYTES=0
exec erl -noinput -boot start_clean -kernel logger_level none -pa "$here/erlang-ebin" \
    +S "$schedulers:$schedulers" +SDcpu "$schedulers:$schedulers" +SDio 1 \
    +sbwt "$wait" +sbwtdcpu none +sbwtdio none +P "$processes" -s bench start -extra "$@"
