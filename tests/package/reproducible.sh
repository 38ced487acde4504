#!/bin/sh
# The same source in another folder, built by the same script, gives the same library, archive and packages, byte for byte.
#
# reproducible.sh BUILD, in which scripts/package has made the packages
set -eu

first=$1
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From the tarball: so it holds all that building takes, too.
mkdir "$work/another folder"
tar -xJf "$first"/packages/tina-*.tar.xz -C "$work/another folder" --strip-components=1
SOURCE_DATE_EPOCH=$(cat "$first/epoch")
export SOURCE_DATE_EPOCH
"$work/another folder/scripts/package" "$work/second" >"$work/log" 2>&1 || { tail -30 "$work/log"; exit 1; }

status=0
for file in "$first"/libtina.so.*.*.* "$first/libtina.a" "$first"/packages/*; do
    other=$work/second/${file#"$first"/}
    cmp "$file" "$other" || status=1
done
ls "$work/second/packages"
exit $status
