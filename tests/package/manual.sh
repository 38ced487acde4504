#!/bin/sh
# Every page of the manual is one that groff has nothing to say against, and every name that it sends its reader
# to has a page.
#
# manual.sh BUILD, in which scripts/package has made the packages
set -eu

folder=$1/manual/man
status=0
for page in "$folder"/man*/*; do
    complaint=$(cd "$folder" && groff -man -ww -Tutf8 -z "$page" 2>&1)
    if [ -n "$complaint" ]; then
        echo "$page: $complaint"
        status=1
    fi
done
for name in $(grep -rhoE '^\.BR tin[a-z_.]+ \([0-9]\)' "$folder" | sed 's/^\.BR \(.*\) (\(.\)).*$/man\2\/\1.\2/' | sort -u); do
    if [ ! -e "$folder/$name" ]; then
        echo "no page $name"
        status=1
    fi
done
find "$folder" -type f | wc -l
exit $status
