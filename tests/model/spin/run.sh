#!/usr/bin/env bash
# Proves the wake protocol and shows that each of its parts is needed. From any folder:
#   run.sh             one line for each proof, exit status 0 when all hold
#   run.sh deep        the same with one message more (a few minutes, 3 GB)
#   run.sh trace NAME  the steps that lead to the error of one mutation
# shellcheck disable=SC2086 # options are lists of words
set -euo pipefail

model=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/wake.pml
depth_max=100000
memory_max_mib=2000

# A mutation, and what the model must say to it.
mutations=(
    "NO_SECOND_LOOK     invalid end state"
    "NO_FENCE_CONSUMER  invalid end state"
    "NO_FENCE_PRODUCER  invalid end state"
    "EVENTFD_LOST       invalid end state"
    "WAKE_EATEN         invalid end state"
    "NO_EXCHANGE        assertion violated is_wake_due"
    "PUBLISH_EARLY      assertion violated (tail"
    "CLEARED_LATE       invalid end state -DEXTERNAL"
)

for tool in spin gcc; do
    command -v "$tool" >/dev/null || { echo "wake.pml: $tool is not installed" >&2; exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# search "spin's options" "gcc's options" "pan's options": leaves the report in $work/report
search() {
    rm -f pan pan.* wake.pml.trail report
    cp "$model" wake.pml
    spin $1 -a wake.pml >generated 2>&1 || { cat generated >&2; exit 1; }
    if [ -s generated ]; then
        cat generated >&2
        exit 1
    fi
    gcc -O2 -w -DCOLLAPSE -DMEMLIM=$memory_max_mib $2 -o pan pan.c
    ./pan -m$depth_max $3 >report 2>&1 || true
}

# Whether the report is of a search that saw all there is, with nothing wrong.
is_proof() {
    grep -q '^Full statespace search' report || return 1
    grep -q 'errors: 0$' report || return 1
    ! grep -Eq 'Search not completed|max search depth too small|MEMLIM|out of memory|^pan:1' report
}

# Whether every statement of the model was reached: one that was not was not checked.
is_all_reached() {
    grep -q '^unreached in proctype shard' report || return 1
    ! grep -Eq '^[[:space:]]*\([1-9][0-9]* of [0-9]+ states\)' report
}

state_count() {
    awk '/states, stored/ { print $1; exit }' report
}

status=0

prove() { # prove "what" "spin's options" "gcc's options" "pan's options"
    search "$2" "$3" "$4"
    if is_proof && is_all_reached; then
        echo "ok      $1 ($(state_count) states, all searched, every statement reached)"
        return
    fi
    echo "FAILED  $1"
    grep -v '^Depth=' report
    [ ! -f wake.pml.trail ] || spin $2 -t -p wake.pml
    status=1
}

must_fail() { # must_fail mutation "what the model must say" "spin's options"
    search "-D$1 $3" -DSAFETY ""
    if grep -qF "pan:1: $2" report; then
        echo "ok      $1 fails: $(sed -n 's/^pan:1: //p' report)"
        return
    fi
    echo "FAILED  $1 should fail with: $2"
    grep -v '^Depth=' report
    status=1
}

options=
case "${1-}" in
"") ;;
deep)
    options=-DINBOX_MESSAGES=2
    memory_max_mib=3000
    ;;
trace)
    search "-D${2:?which mutation}" -DSAFETY ""
    [ -f wake.pml.trail ] || { echo "$2: no error" >&2; exit 1; }
    spin "-D$2" -t -p wake.pml
    exit
    ;;
*)
    echo "run.sh [deep | trace NAME]" >&2
    exit 2
    ;;
esac

prove "no wake-up is lost" "$options" -DSAFETY ""
prove "every run ends" "$options" -DNP -l
prove "no wake-up of a program that turns its shard is lost" "$options -DEXTERNAL" -DSAFETY ""
for line in "${mutations[@]}"; do
    read -r name expected <<<"$line"
    variant=
    if [[ $expected == *" -D"* ]]; then
        variant=-D${expected##* -D}
        expected=${expected% -D*}
    fi
    must_fail "$name" "$expected" "$options $variant"
done
exit $status
