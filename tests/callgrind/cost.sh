#!/bin/sh
# ctest: timeout 600
# Cost follows work: a message, and an isolate's life, take the same number of
# instructions whatever was reserved. Each run is made twice, the second with
# twice the number: the difference is what the number costs, boot aside.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/callgrind/_measure.sh
. "$here/_measure.sh"
compile "$work/cost" "$here/cost.c"

# instructions WHAT COUNT SLOTS TYPES FDS: of a whole run.
instructions()
{
    callgrind "$work/cost" "$@"
    sed -n 's/^==.*Collected *: *//p' "$work/log" | tr -d ' '
}

# cost WHAT COUNT SLOTS TYPES FDS: of one, in hundredths of an instruction.
cost()
{
    what=$1 count=$2
    shift 2
    once=$(instructions "$what" "$count" "$@")
    twice=$(instructions "$what" $((2 * count)) "$@")
    echo $(((twice - once) * 100 / count))
}

failed=0

# within PERCENT NAME BASE OTHER
within()
{
    distance=$(($4 - $3))
    [ "$distance" -ge 0 ] || distance=$((-distance))
    verdict=ok
    if [ $((distance * 100)) -gt $(($3 * $1)) ]; then
        verdict="MORE THAN $1 %"
        failed=1
    fi
    printf '%-52s %8d.%02d %8d.%02d  %s\n' "$2" $(($3 / 100)) $(($3 % 100)) $(($4 / 100)) $(($4 % 100)) "$verdict"
}

messages=${TINA_COST_COUNT:-100000}
spawns=$((messages / 10))

printf '%-52s %11s %11s\n' "instructions of one" base other
base=$(cost messages "$messages" 1000 1 16)
within 1 "message: 1,000,000 slots, not 1,000" "$base" "$(cost messages "$messages" 1000000 1 16)"
within 20 "message: to another type each time" "$base" "$(cost messages "$messages" 1000 2 16)" # each has a turn of its own
within 1 "message: 60,000 descriptor slots, not 16" "$base" "$(cost messages "$messages" 1000 1 60000)"
base=$(cost spawns "$spawns" 1000 1 16)
within 1 "isolate's life: 1,000,000 slots, not 1,000" "$base" "$(cost spawns "$spawns" 1000000 1 16)"
within 1 "isolate's life: 60,000 descriptor slots, not 16" "$base" "$(cost spawns "$spawns" 1000 1 60000)"
exit $failed
