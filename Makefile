# medfed: `make demo` runs a federated task on a real network; `make test` proves the rest.
# Everything that is built or run lies under .run, which git ignores.

SHELL := /bin/bash
BIN   := .run/bin
DATA  ?= pneumoniamnist
MODULES := chaincode/ledgertest/oracle trainer/nn/kernel/asm # of their own, which ./... leaves out
GO_TOOL := go tool -modfile=.ci/tools/go.mod
export GOFLAGS ?= -buildvcs=false

.PHONY: demo test bench reproduce lint up down status build tools clean

demo: tools build ## train one model on a real network; KEEP=1 leaves it up, DATA=synthetic needs no data set
	@$(BIN)/demo --data $(DATA) $(if $(KEEP),--keep)

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
	go run ./chaincode/determinism/cmd/determinism -test=false ./chaincode/codes ./chaincode/form ./chaincode/renyi ./chaincode/fl ./chaincode/consent ./chaincode/ledger ./chaincode/contract
	@.ci/vulncheck

bench: ## the trainer against PyTorch, stock Gorgonia and the processor's peak; written to .run/bench/trainer.json
	@go run ./trainer/bench

reproduce: ## both papers' tables and figures, written to docs/results; stop it and it goes on; QUICK=1 shows that it runs
	@go run ./client/reproduce $(if $(QUICK),--quick)

up: tools build ## bring the default network up
	@$(BIN)/medfed network up

down: build ## stop what up started
	@$(BIN)/medfed network down

status: build ## say what runs
	@$(BIN)/medfed network status

build: ## medfed, the chaincode and the demo
	@mkdir -p $(BIN)
	@go build -ldflags "-X main.commit=$$(git rev-parse HEAD 2>/dev/null)" -o $(BIN)/medfed ./client/cmd/medfed
	@go build -o $(BIN)/chaincode ./chaincode
	@go build -o $(BIN)/demo ./test-network/demo

tools: ## the pinned Fabric, Fabric CA and IPFS servers, built when they are not current
	@go run ./network/tools/build -out $(BIN)

clean: down ## stop the network and remove what was built
	rm -rf .run
