#!/bin/sh
# Fuzzes every target of the module for some time each: scripts/fuzz.sh 5s
# What makes one fail is kept in its package's testdata/fuzz.
set -eu
cd "$(dirname "$0")/.."

find . \( -name node_modules -o -name .tools \) -prune -o -name '*_test.go' -print | xargs grep -H '^func Fuzz' /dev/null |
	sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*)\(.*|\1 \2|' |
	while read -r package target; do
		echo "fuzz $package $target"
		if ! said=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package" 2>&1 </dev/null); then
			printf '%s\n' "$said"
			exit 1
		fi
	done
