# medfed: `make demo` runs a federated task on a real network; `make test` proves the rest.
# Everything that is built or run lies under .run, which git ignores.

SHELL := /bin/bash
BIN   := .run/bin
MODULES := chaincode/ledgertest/oracle trainer/nn/kernel/asm # of their own, which ./... leaves out
GO_TOOL := go tool -modfile=.ci/tools/go.mod
BUILD := mkdir -p $(BIN) && go build -o $(BIN)/build ./network/tools/build && $(BIN)/build -out $(BIN)
# No debugger's tables: compiling takes a tenth less without. All go commands here share one cache.
export GOFLAGS ?= -buildvcs=false -gcflags=all=-dwarf=false

.PHONY: help demo test bench reproduce models heal lint up down status build tools clean

demo: ## train one model on a real network; KEEP=1 leaves it up, DATA=breastmnist takes another set
	@mkdir -p $(BIN)
	@echo "1 of 3 · data"
	@go build -o $(BIN)/ ./test-network/demo/data ./network/tools/build && $(BIN)/data $(DATA)
	@echo "2 of 3 · programs"
	@$(BIN)/build -out $(BIN)
	@echo "3 of 3 · demo, about 2 min"
	@$(BIN)/demo --offline $(if $(DATA),--data $(DATA)) $(if $(KEEP),--keep)

help: ## what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { line = sprintf("%-10s", $$1); words = split($$2, word, " "); \
		for (k = 1; k <= words; k++) { \
			if (length(line) + length(word[k]) > 79) { print line; line = sprintf("%10s", "") } \
			line = line " " word[k] } \
		print line }' $(firstword $(MAKEFILE_LIST))

.DEFAULT:
	@echo "make: there is no target $@; make help lists what there is" >&2; exit 2

test: $(if $(SHORT),,tools build) ## every test; the end-to-end ones bring networks up. SHORT=1 takes minutes and leaves those out, SKIPPED=1 runs what the last run skipped
	@mkdir -p .run
	@$(GO_TOOL) gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --jsonfile $(if $(SKIPPED),.run/tests-skipped.json,.run/tests.json) \
		--raw-command -- .ci/tests $(if $(SKIPPED),skipped,$(if $(SHORT),short,all))

lint: ## gofmt, go vet, staticcheck, the generated kernels, govulncheck where its database can be reached
	@test -z "$$(gofmt -l chaincode client trainer network collections test-network)" || \
		{ echo "run gofmt -w on:"; gofmt -l chaincode client trainer network collections test-network; exit 1; }
	go vet ./...
	$(GO_TOOL) staticcheck ./...
	@for module in $(MODULES); do \
		go -C $$module vet ./... && go -C $$module tool -modfile="$(CURDIR)/.ci/tools/go.mod" staticcheck ./... || exit 1; done
	@.ci/generated
	go run ./chaincode/determinism/cmd/determinism -test=false ./chaincode/codes ./chaincode/form ./chaincode/consortium ./chaincode/renyi ./chaincode/fl ./chaincode/record ./chaincode/consent ./chaincode/ledger ./chaincode/contract
	@.ci/vulncheck

bench: ## the trainer against PyTorch, stock Gorgonia and the processor's peak; written to .run/bench/trainer.json
	@go run ./trainer/bench

reproduce: ## both papers' tables and figures, written to docs/results; stop it and it goes on; QUICK=1 shows that it runs
	@go run ./client/reproduce $(if $(QUICK),--quick)

models: ## what a model promises, measured: ONNX, memory, 12 bits, bombs, classes; written to .run/models/report.json. QUICK=1 shows that it runs
	@go run ./client/models $(if $(QUICK),-quick)

heal: tools build ## what breaks heals by itself: a network is broken while rounds run; written to .run/heal/report.json. QUICK=1 shows that it runs
	@go run ./test-network/heal $(if $(QUICK),-quick)

up: tools build ## bring the default network up
	@$(BIN)/medfed network up

down: build ## stop what up started
	@$(BIN)/medfed network down

status: build ## say what runs
	@$(BIN)/medfed network status

build: ## medfed, the chaincode and the demo
	@$(BUILD) medfed

tools: ## the pinned Fabric, Fabric CA and IPFS servers, built when they are not current
	@$(BUILD) servers

clean: down ## stop the network and remove what was built
	rm -rf .run
