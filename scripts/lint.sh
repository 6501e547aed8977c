#!/bin/sh
# Go's own vet, staticcheck and gofumpt over the whole module.
set -eu
cd "$(dirname "$0")/.."

echo "vet"
go vet ./...
echo "staticcheck"
go tool -modfile=tools/go.mod staticcheck ./...
echo "gofumpt"
unformatted=$(find . \( -name node_modules -o -name .tools \) -prune -o -name '*.go' -print | xargs go tool -modfile=tools/go.mod gofumpt -l)
if [ -n "$unformatted" ]; then
	printf '%s\n' "$unformatted"
	echo "make fmt formats these files." >&2
	exit 1
fi
