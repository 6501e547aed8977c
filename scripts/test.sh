#!/bin/sh
# make test: everything, in the order in which mistakes are cheapest to find.
# The last line counts the tests; any failure ends it with another status than 0.
set -eu
cd "$(dirname "$0")/.."

scripts/need.sh go race python browser node
PATH="$PWD/.tools/bin:$PATH"
export PATH

# Tests that need uvicorn, npm or a browser are skipped where those are missing; here they
# are not missing, so a skip would be a failure that nobody sees.
export TANDEM_TEST_ALL=1

scripts/lint.sh

for folder in $(find . \( -name node_modules -o -name .tools \) -prune -o -name package-lock.json -exec dirname {} \;); do
	echo "npm ci in $folder"
	(cd "$folder" && npm ci --no-audit --no-fund --loglevel=error </dev/null)
done
echo "specifications"
(cd spec/lint && npm run --silent lint </dev/null)

scripts/fuzz.sh "${FUZZTIME:-3s}"

# The race detector also checks pointer arithmetic. SQLite, translated from C, is full of
# it: without that check for it, tests with a store take half of the processor's time.
echo "tests"
go build -C tools -o ../.tools/bin/report ./report
{
	go test -race -gcflags='modernc.org/...=-d=checkptr=0' -timeout 15m -json ./... || true # the report knows, and fails
	go test -C tools -json ./report || true
} </dev/null | .tools/bin/report
