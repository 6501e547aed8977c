#!/bin/sh
# Builds bin/tandem for make demo and says so on one line.
set -eu
cd "$(dirname "$0")/.."

scripts/need.sh go
printf 'Building tandem (about two minutes the first time) ... '
log=$(mktemp)
if ! go build -trimpath -o bin/tandem ./cmd/tandem >"$log" 2>&1; then
	printf 'failed\n'
	cat "$log" >&2
	rm -f "$log"
	exit 1
fi
rm -f "$log"
printf 'done\n'
