# Everything that a contributor runs. `make help` prints the lines marked ##.

.DEFAULT_GOAL := help
SHELL := /bin/sh
AGENT ?=
FUZZTIME ?= 1m
KILLS ?= 200

.PHONY: help build demo test quick fmt docs bench fuzz chaos clean

help: ## list what make can do here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/tandem
	@scripts/need.sh go
	go build -trimpath -o bin/tandem ./cmd/tandem

demo: ## run a server with example data; AGENT=http://127.0.0.1:8000/chat uses your own agent
	@scripts/build-demo.sh
	@exec bin/tandem demo $(if $(AGENT),--agent "$(AGENT)")

test: ## everything: lint, spec lint, short fuzzing, all tests with the race detector (6 minutes on 2 cores)
	@scripts/test.sh

quick: ## vet, lint and the tests that need only Go (1 minute)
	@scripts/quick.sh

fmt: ## format the Go files
	go tool -modfile=tools/go.mod gofumpt -w .

docs: ## write docs/config.md from the table of options
	go run ./cmd/tandem config docs > docs/config.md

bench: ## run the benchmarks; docs/performance.md explains them
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## fuzz every target for FUZZTIME=1m
	@scripts/fuzz.sh $(FUZZTIME)

chaos: ## kill -9, cut connections and put back old data, KILLS=200 times
	TANDEM_CHAOS=$(KILLS) go test -race -count=1 -timeout 60m -v -run Chaos ./...

clean: ## remove what was built and fetched here, never a data folder
	rm -rf bin .tools spec/lint/node_modules cmd/tandem/testdata/clients/node_modules
