#!/bin/sh
# Makes the packages, for the tests that look at them.
#
# make.sh BUILD
set -eu

mkdir -p "$1"
cd "$(dirname "$0")/../.."
SOURCE_DATE_EPOCH=$(stat -c %Y include/tina/version.h)
export SOURCE_DATE_EPOCH
echo "$SOURCE_DATE_EPOCH" >"$1/epoch"
exec scripts/package "$1"
