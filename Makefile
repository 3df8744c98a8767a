# What people type here. `make help` lists it.
SERVER  := products/openova-flow/server
JETSTREAM := products/openova-flow/server-jetstream
ADAPTER := products/openova-flow/adapter-flux
WEB     := products/openova-flow
FANOUT  := bench/fanout
GO      := go
# Flux's newest API needs a newer Go than ours, so what reads it is a module of its own.
FLUXAPI := tools/fluxapi
NEWER   := GOTOOLCHAIN=go1.27.0 $(GO)
# Where the demo listens, and how much faster than it happened it plays.
DEMO_ADDR  ?= 127.0.0.1:8080
DEMO_SPEED ?= 10
FUZZ_TIME  ?= 60s
EQUIVALENCE      ?= 5000000
EQUIVALENCE_TIME ?= 10m
EQUIVALENCE_SEED ?= 1
INSIGHT          ?= 100000
INSIGHT_SEED     ?= 1
SOAK_TIME  ?= 20m
# What images, charts and binaries are a release of, and where images go.
VERSION    ?= dev
REGISTRY   ?= ghcr.io/openova-io/openova
# Further flags of bench-fanout, such as -only 1-to-1000 -rounds 1.
FANOUT_FLAGS ?=

export GOWORK := off
# All that is built is built as a release is, without cgo and without paths, so that packages are compiled once. The race detector needs cgo.
GIVEN := $(filter-out -trimpath,$(or $(GOFLAGS),$(shell $(GO) env GOFLAGS 2> /dev/null)))
export CGO_ENABLED := 0
override export GOFLAGS := $(strip $(GIVEN) -trimpath)
RACE := CGO_ENABLED=1 GOFLAGS="$(GIVEN)" $(GO) test -race

.DEFAULT_GOAL := help
.PHONY: help build build-server build-adapter build-jetstream demo test test-go test-server test-jetstream test-adapter test-fanout test-release test-install test-web e2e-tools jetstream matrix e2e infra page fmt lint vulncheck fuzz fuzz-page soak bench bench-fanout bench-durable equivalence insight images push-images release-binaries release-check charts clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

build: build-server build-adapter build-jetstream ## build the binaries into bin/

build-server:
	cd $(SERVER) && $(GO) build -o ../../../bin/ ./cmd/...

build-adapter:
	cd $(ADAPTER) && $(GO) build -o ../../../bin/ ./cmd/openova-flow-adapter-flux

build-jetstream:
	cd $(JETSTREAM) && $(GO) build -o ../../../bin/ ./cmd/...

demo: build-server build-adapter ## play a recorded bootstrap of two regions into a server, and say what to look at
	@DEMO_ADDR=$(DEMO_ADDR) DEMO_SPEED=$(DEMO_SPEED) scripts/demo.sh

test: test-go test-web ## pass the tests; those of images and archives are test-release

# Much of a test is waiting, so that two take turns at the processors; the long ones begin first.
test-go: ## pass the Go tests, most of them with the race detector: two targets at a time, each shown when it is done
	@$(MAKE) --no-print-directory -j2 $(if $(filter 3.%,$(MAKE_VERSION)),,-Otarget) test-jetstream test-adapter test-server test-install test-fanout

test-server: ## those of the server
	cd $(SERVER) && $(RACE) ./...

test-jetstream: ## those of the server that keeps its flows in JetStream
	cd $(JETSTREAM) && $(RACE) -timeout 30m ./...

test-adapter: ## those of the adapter
	cd $(ADAPTER) && $(RACE) ./...
	cd $(FLUXAPI) && $(NEWER) test -count=1 ./...

test-fanout: ## those of the benchmarks
	cd $(FANOUT) && $(RACE) ./...

test-release: ## those of images and archives
	cd tools/release && $(GO) test -count=1 -timeout 20m .

test-install: ## those of the charts and the bootstrap kit
	cd tools/bootstrapdeps && $(GO) test ./...
	cd test/install && $(GO) test .

test-web: $(WEB)/node_modules/.package-lock.json ## pass the tests of the canvas and the page, in a real browser
	scripts/chromium.sh
	cd $(WEB) && npm run check && npm test

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	cd $(WEB) && npm ci

jetstream: ## prove replicas on a NATS cluster: the whole contract on three servers, 5,000 messages a second while everything fails twice, and two failures at once
	cd $(JETSTREAM) && $(GO) test -count=1 -timeout 30m ./conformance -run OnACluster -nodes 3
	cd $(JETSTREAM) && $(GO) test -count=1 -timeout 30m -v ./truth -run 'Truth|TwoFailures|KilledAfterDelete|KilledAtRandom|PowerCut' -long

matrix: ## send the whole authorization matrix, of which the tests send a part, to both servers
	cd $(SERVER) && $(GO) test -count=1 -timeout 30m -v ./internal/matrix -run Matrix -full
	cd $(JETSTREAM) && $(GO) test -count=1 -timeout 30m -v ./conformance -run Matrix -full

e2e-tools: ## build what e2e and infra need into a folder of the user's cache, or OPENOVA_FLOW_E2E_CACHE, unless it is there
	cd test/e2e && $(GO) run ./plane/kit
	scripts/infra-tools.sh

e2e: ## prove it on two real API servers
	cd test/e2e && $(GO) test ./truth && $(GO) test -count=1 -timeout 20m
	cd test/install/live && $(GO) test -count=1 -timeout 20m ./...

infra: ## prove what machines are given: rendered, then taken by cloud-init, Flux's substitution and the server
	cd test/install && $(GO) test -count=1 ./cloudinit

page: $(WEB)/node_modules/.package-lock.json ## build the page into the server
	cd $(WEB) && npm run build -w console

fmt: ## format the Go code
	gofmt -w products test tools bench

lint: $(WEB)/node_modules/.package-lock.json ## vet, staticcheck, formatting, ESLint, and the workflows
	@test -z "$$(gofmt -l products test tools bench)" || { echo "not formatted, run make fmt:"; gofmt -l products test tools bench; exit 1; }
	cd tools && $(GO) tool actionlint ../.github/workflows/*.yml
	cd $(WEB) && npm run --silent lint
	@for module in $(SERVER) $(JETSTREAM) $(ADAPTER) tools/bootstrapdeps tools/release test/install test/install/live test/e2e $(FANOUT); do \
		echo "vet and staticcheck $$module"; \
		(cd $$module && $(GO) vet ./... && $(GO) tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./...) || exit 1; \
	done
	cd $(FLUXAPI) && $(NEWER) vet ./...

equivalence: $(WEB)/node_modules/.package-lock.json ## hold both folds and a plain one to each other on EQUIVALENCE random sequences, for EQUIVALENCE_TIME (10m) at most
	cd $(WEB)/core && EQUIVALENCE=$(EQUIVALENCE) EQUIVALENCE_TIME=$(EQUIVALENCE_TIME) EQUIVALENCE_SEED=$(EQUIVALENCE_SEED) npx vitest run test/equivalence.test.ts

insight: $(WEB)/node_modules/.package-lock.json ## hold what Go, TypeScript and a plain implementation say of a flow to each other on INSIGHT (100,000) random graphs
	cd $(WEB)/core && INSIGHT=$(INSIGHT) INSIGHT_SEED=$(INSIGHT_SEED) npx vitest run test/insight.test.ts

# What looks for known vulnerabilities; it asks vuln.go.dev.
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

vulncheck: ## look for known vulnerabilities in what the binaries reach
	@for module in $(SERVER) $(JETSTREAM) $(ADAPTER); do echo "govulncheck $$module"; (cd $$module && $(GO) run $(GOVULNCHECK) ./...) || exit 1; done

fuzz: ## run every fuzz target for FUZZ_TIME (60s) each, from the corpus in test/fuzz; FUZZ_KEEP=1 adds to it
	scripts/fuzz.sh $(FUZZ_TIME)

FUZZ_PAGE_TIME ?= 300

fuzz-page: $(WEB)/node_modules/.package-lock.json ## open random hostile flows in a real browser for FUZZ_PAGE_TIME (300) seconds, then large ones; FUZZ_PAGE_SEED=n begins with one
	scripts/chromium.sh
	cd $(WEB) && FUZZ_PAGE_TIME=$(FUZZ_PAGE_TIME) npm run fuzz -w console

soak: ## leave the server under load for SOAK_TIME (20m), restarts and stalled viewers included
	cd $(FANOUT) && $(GO) run ./cmd/soak -time $(SOAK_TIME)

bench: ## run the Go benchmarks, then the fan-out beside others
	cd $(SERVER) && $(GO) test -run '^$$' -bench . -benchmem ./...
	cd $(ADAPTER) && $(GO) test -run '^$$' -bench . -benchmem ./...
	$(MAKE) bench-fanout

bench-fanout: ## print the fan-out beside a plain one and the raw limit, and which targets it meets
	cd $(FANOUT) && $(GO) run ./cmd/fanout -check $(FANOUT_FLAGS)

bench-durable: build ## print what keeping flows in JetStream costs, beside keeping them in memory
	cd $(JETSTREAM) && $(GO) build -o ../../../bin/ github.com/nats-io/nats-server/v2
	cd $(FANOUT) && $(GO) run ./cmd/durable

RELEASE := cd tools/release && $(GO) run .

images: ## write the images as OCI layouts into bin/images; VERSION=0.1.0 names them
	$(RELEASE) images --root ../.. --out ../../bin/images --version $(VERSION)

push-images: ## send what make images wrote to the registry, and print what to sign
	@$(RELEASE) push --from ../../bin/images --to $(REGISTRY)

release-binaries: ## write archives of the binaries for every system into bin/release
	$(RELEASE) binaries --root ../.. --out ../../bin/release --version $(VERSION)

release-check: ## hold the versions in charts and kit to VERSION
	$(RELEASE) check --root ../.. --version $(VERSION)

bin/helm: tools/helm/go.mod
	cd tools/helm && $(GO) build -o ../../bin/helm helm.sh/helm/v3/cmd/helm

charts: bin/helm ## pack the charts into bin/charts, in the version that they name or in VERSION
	rm -rf bin/charts
	bin/helm package --destination bin/charts $(if $(filter-out dev,$(VERSION)),--version $(VERSION) --app-version $(VERSION)) platform/*/chart

clean: ## remove what was built
	rm -rf bin $(WEB)/node_modules
