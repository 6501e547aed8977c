#!/bin/sh
# make quick: what needs nothing but Go, on Linux and macOS, in about a minute.
set -eu
cd "$(dirname "$0")/.."

scripts/need.sh go
scripts/lint.sh
echo "tests"
go build -C tools -o ../.tools/bin/report ./report
go test -short -timeout 5m -json ./... </dev/null | .tools/bin/report
