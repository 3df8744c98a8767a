# `make help` lists the targets.
SERVER  := products/openova-flow/server
JETSTREAM := products/openova-flow/server-jetstream
ADAPTER := products/openova-flow/adapter-flux
RELAY   := products/openova-flow/relay
WEB     := products/openova-flow
FANOUT  := bench/fanout
GO      := go
# The module that reads Flux's newest API needs a newer Go than the others.
FLUXAPI := tools/fluxapi
NEWER   := GOTOOLCHAIN=go1.27.0 $(GO)
# The address of the demo, and its speed: 10 plays ten times as fast as it happened.
DEMO_ADDR  ?= 127.0.0.1:8080
DEMO_SPEED ?= 10
FUZZ_TIME  ?= 60s
EQUIVALENCE      ?= 5000000
EQUIVALENCE_TIME ?= 10m
EQUIVALENCE_SEED ?= 1
INSIGHT          ?= 100000
INSIGHT_SEED     ?= 1
SOAK_TIME  ?= 20m
# Version of images, charts and archives, and the registry for images.
VERSION    ?= dev
REGISTRY   ?= ghcr.io/openova-io/openova
# Flags for bench-fanout, such as -only 1-to-1000 -rounds 1.
FANOUT_FLAGS ?=

export GOWORK := off
# Builds and tests use the flags of a release, without cgo and without paths, so that packages are compiled once.
GIVEN := $(filter-out -trimpath,$(or $(GOFLAGS),$(shell $(GO) env GOFLAGS 2> /dev/null)))
export CGO_ENABLED := 0
# Newer versions of Node would keep a compile cache in the temporary folder.
export NODE_DISABLE_COMPILE_CACHE := 1
override export GOFLAGS := $(strip $(GIVEN) -trimpath)
# With RACE=1 tests use the race detector, which needs cgo: all packages are compiled once more, and tests take several times as long.
RACE ?=
# Tests run without vet, since lint runs it: it would take a seventh of the time of a first test.
PLAIN := $(GO) test -vet=off
TEST := $(if $(RACE),CGO_ENABLED=1 GOFLAGS="$(GIVEN)" $(PLAIN) -race,$(PLAIN))
# Tests named TestMeasure_ measure time or memory. They run alone and without the race detector, in test-measure.
MEASURE := ^TestMeasure_
# Packages of pure functions: the race detector finds nothing in them and takes five times as long.
PURE := '/(insight|revision|rollout|mapping)$$'
# Tests the packages of a module.
TEST_MODULE := $(TEST) -skip '$(MEASURE)' $(if $(RACE),$$($(GO) list ./... | grep -vE $(PURE)) && $(PLAIN) -skip '$(MEASURE)' $$($(GO) list ./... | grep -E $(PURE)),./...)

.DEFAULT_GOAL := help
.PHONY: help build build-server build-adapter build-jetstream build-relay demo test test-long test-durable test-accessibility test-go test-server test-jetstream test-adapter test-relay test-fanout test-release test-measure test-install test-alerts test-web e2e-tools relay-chaos monitoring jetstream matrix e2e latency infra page fmt lint vulncheck fuzz fuzz-page soak bench bench-fanout bench-durable equivalence insight images push-images release-binaries release-check charts clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

build: build-server build-adapter build-jetstream build-relay ## build the binaries into bin/

build-server:
	cd $(SERVER) && $(GO) build -o ../../../bin/ ./cmd/...

build-adapter:
	cd $(ADAPTER) && $(GO) build -o ../../../bin/ ./cmd/openova-flow-adapter-flux

build-jetstream:
	cd $(JETSTREAM) && $(GO) build -o ../../../bin/ ./cmd/...

build-relay:
	cd $(RELAY) && $(GO) build -o ../../../bin/ ./cmd/openova-flow-relay

demo: build-server build-adapter ## replay a recorded bootstrap of two regions into a local server, and print its URL
	@DEMO_ADDR=$(DEMO_ADDR) DEMO_SPEED=$(DEMO_SPEED) scripts/demo.sh

# Tests wait much of their time, so several targets run at once, the long ones first.
PARALLEL := $(MAKE) --no-print-directory $(if $(filter 3.%,$(MAKE_VERSION)),,-Otarget)
GO_TESTS := test-jetstream test-adapter test-server test-install test-relay test-fanout

test: ## run test-web and the targets of test-go; RACE=1 adds the race detector; prints each target when it is done
	@$(PARALLEL) -j3 test-web $(GO_TESTS)

test-long: ## run the tests that take minutes: the whole HTTP API on JetStream, servers killed at random, accessibility of each view at each width; RACE=1 as in test
	@$(PARALLEL) -j2 test-accessibility test-durable

test-go: ## run the Go tests; prints each target when it is done
	@$(PARALLEL) -j2 $(GO_TESTS)

test-server: ## run the tests of the server
	cd $(SERVER) && $(TEST_MODULE)

test-jetstream: ## run the tests of the server on JetStream
	cd $(JETSTREAM) && $(TEST) $$($(GO) list ./... | grep -vE '/(conformance|durability)$$')

test-durable:
	cd $(JETSTREAM) && $(TEST) -timeout 30m ./conformance ./durability

test-adapter: ## run the tests of the adapter
	cd $(ADAPTER) && $(TEST_MODULE)
	cd $(FLUXAPI) && $(NEWER) test -vet=off -count=1 ./...

test-relay: ## run the tests of the relay
	cd $(RELAY) && $(TEST) ./...

test-fanout: ## run the tests of the benchmarks
	cd $(FANOUT) && $(TEST) ./...

test-measure: ## run the tests that measure time or memory, one after the other
	cd $(SERVER) && $(GO) test -count=1 -p 1 -v -run '$(MEASURE)' ./...
	cd $(ADAPTER) && $(GO) test -count=1 -p 1 -v -run '$(MEASURE)' ./...

test-release: ## run the tests of images and archives
	cd tools/release && $(GO) test -count=1 -timeout 40m .

test-install: ## run the tests of the charts and the bootstrap kit
	cd tools/bootstrapdeps && $(PLAIN) ./...
	cd test/install && $(PLAIN) .

test-alerts: ## test the chart's alerts and dashboard with promtool, on what the server serves; builds promtool
	cd test/alerts && $(GO) vet . && $(GO) tool -modfile=$(CURDIR)/tools/go.mod staticcheck . && $(GO) test .

test-web: $(WEB)/node_modules/.package-lock.json ## run the tests of core, and those of canvas and page in a real browser
	scripts/chromium.sh
	cd $(WEB) && npm test

test-accessibility: $(WEB)/node_modules/.package-lock.json
	scripts/chromium.sh
	cd $(WEB) && npm run accessibility -w console

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	cd $(WEB) && npm ci

relay-chaos: ## kill the relay 50 times during replays, restart it late after each third kill, and compare its notices with those of a relay that is not killed: six minutes
	cd $(RELAY) && $(GO) test -count=1 -timeout 15m -v ./chaos -kills 50

monitoring: $(WEB)/node_modules/.package-lock.json ## replay recordings into a server with a real Prometheus, Alertmanager and Jaeger and the relay: three minutes; the first time it also builds them, ten minutes
	cd test/monitoring && $(GO) vet . && $(GO) test -count=1 -timeout 60m -v .

jetstream: ## run the long tests of replicas: the whole HTTP API on three NATS servers, and 5,000 messages a second through every failure
	cd $(JETSTREAM) && $(GO) test -count=1 -timeout 30m ./conformance -run OnACluster -nodes 3
	cd $(JETSTREAM) && $(GO) test -count=1 -timeout 30m -v ./durability -run 'AgreeAfterFailures|TwoFailures|KilledAfterDelete|KilledAtRandom|PowerCut' -long

matrix: ## send the whole authorization matrix to both servers; the tests send a part of it
	cd $(SERVER) && $(GO) test -count=1 -timeout 30m -v ./internal/matrix -run Matrix -full
	cd $(JETSTREAM) && $(GO) test -count=1 -timeout 30m -v ./conformance -run Matrix -full

e2e-tools: ## build the tools for e2e and infra into the user's cache, or OPENOVA_FLOW_E2E_CACHE, unless they exist
	cd test/e2e && $(GO) run ./plane/kit
	scripts/infra-tools.sh

e2e: $(WEB)/node_modules/.package-lock.json ## run the end-to-end tests on two real API servers, and one of them in Chromium too
	scripts/chromium.sh
	cd test/e2e && $(GO) test ./conductor ./truth ./plane && $(GO) test -count=1 -timeout 20m
	cd test/install/live && $(GO) test -count=1 -timeout 20m ./...

latency: e2e-tools $(WEB)/node_modules/.package-lock.json ## measure how long a change takes from a real API server to a subscriber and to a canvas in Chromium, beside a watch
	scripts/chromium.sh
	cd test/e2e && $(GO) test -count=1 -timeout 20m -run TestLatency -latency

infra: ## test the cloud-init of machines: rendered, then read by cloud-init, Flux's substitution and the server
	cd test/install && $(GO) test -count=1 ./cloudinit

page: $(WEB)/node_modules/.package-lock.json ## build the page, and the page of reports, into the server
	cd $(WEB) && npm run build -w console

fmt: ## format the Go code
	gofmt -w products test tools bench

# Vet and staticcheck of test/alerts compile most of Prometheus, so they are in test-alerts.
lint: $(WEB)/node_modules/.package-lock.json ## check formatting, vet, staticcheck, types, ESLint and the workflows
	@awk '/^\.PHONY:/ { for (i = 2; i <= NF; i++) phony[$$i] } /^[a-z0-9-]+:/ { sub(/:.*/, ""); rules[$$0]++ } \
		END { for (t in phony) if (rules[t] != 1) { print "Makefile: " t " is in .PHONY and has " rules[t] + 0 " rules"; bad = 1 } exit bad }' Makefile
	@test -z "$$(gofmt -l products test tools bench)" || { echo "not formatted, run make fmt:"; gofmt -l products test tools bench; exit 1; }
	cd tools && $(GO) tool actionlint ../.github/workflows/*.yml
	cd $(WEB) && npm run --silent check && npm run --silent lint
	@for module in $(SERVER) $(JETSTREAM) $(ADAPTER) $(RELAY) tools/bootstrapdeps tools/release test/install test/install/live test/e2e test/monitoring $(FANOUT); do \
		echo "vet and staticcheck $$module"; \
		(cd $$module && $(GO) vet ./... && $(GO) tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./...) || exit 1; \
	done
	cd $(FLUXAPI) && $(NEWER) vet ./...

equivalence: $(WEB)/node_modules/.package-lock.json ## compare both folds and a plain one on EQUIVALENCE random sequences, for at most EQUIVALENCE_TIME (10m)
	cd $(WEB)/core && EQUIVALENCE=$(EQUIVALENCE) EQUIVALENCE_TIME=$(EQUIVALENCE_TIME) EQUIVALENCE_SEED=$(EQUIVALENCE_SEED) npx vitest run test/equivalence.test.ts

insight: $(WEB)/node_modules/.package-lock.json ## compare the judgements of Go, TypeScript and a plain implementation on INSIGHT (100,000) random graphs
	cd $(WEB)/core && INSIGHT=$(INSIGHT) INSIGHT_SEED=$(INSIGHT_SEED) npx vitest run test/insight.test.ts

# Asks vuln.go.dev.
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

vulncheck: ## look for known vulnerabilities in code that the binaries use; needs the network
	@for module in $(SERVER) $(JETSTREAM) $(ADAPTER) $(RELAY); do echo "govulncheck $$module"; (cd $$module && $(GO) run $(GOVULNCHECK) ./...) || exit 1; done

fuzz: ## run every fuzz target for FUZZ_TIME (60s) each, from the corpus in test/fuzz; FUZZ_KEEP=1 adds to it
	scripts/fuzz.sh $(FUZZ_TIME)

FUZZ_PAGE_TIME ?= 300

fuzz-page: $(WEB)/node_modules/.package-lock.json ## open random hostile flows in a real browser for FUZZ_PAGE_TIME (300) seconds, then large ones; FUZZ_PAGE_SEED=n begins with flow n
	scripts/chromium.sh
	cd $(WEB) && FUZZ_PAGE_TIME=$(FUZZ_PAGE_TIME) npm run fuzz -w console

soak: ## put the server under load for SOAK_TIME (20m), with restarts and stalled subscribers
	cd $(FANOUT) && $(GO) run ./cmd/soak -time $(SOAK_TIME)

bench: ## run the Go benchmarks, then bench-fanout: about 20 minutes, alone on the machine
	cd $(SERVER) && $(GO) test -run '^$$' -bench . -benchmem ./...
	cd $(ADAPTER) && $(GO) test -run '^$$' -bench . -benchmem ./...
	$(MAKE) bench-fanout

bench-fanout: ## compare the fan-out with a plain server and the limit of the machine, and print which targets are met
	cd $(FANOUT) && $(GO) run ./cmd/fanout -check $(FANOUT_FLAGS)

bench-durable: build ## compare flows in JetStream with flows in memory
	cd $(JETSTREAM) && $(GO) build -o ../../../bin/ github.com/nats-io/nats-server/v2
	cd $(FANOUT) && $(GO) run ./cmd/durable

RELEASE := cd tools/release && $(GO) run .

images: ## write the images as OCI layouts into bin/images; VERSION=0.1.0 names them
	$(RELEASE) images --root ../.. --out ../../bin/images --version $(VERSION)

push-images: ## push the images of make images to the registry, and print the digests to sign
	@$(RELEASE) push --from ../../bin/images --to $(REGISTRY)

release-binaries: ## write archives of the binaries for every system into bin/release
	$(RELEASE) binaries --root ../.. --out ../../bin/release --version $(VERSION)

release-check: ## check that charts and kit name VERSION
	$(RELEASE) check --root ../.. --version $(VERSION)

bin/helm: tools/helm/go.mod
	cd tools/helm && $(GO) build -o ../../bin/helm helm.sh/helm/v3/cmd/helm

charts: bin/helm ## package the charts into bin/charts, with their own version or VERSION
	rm -rf bin/charts
	bin/helm package --destination bin/charts $(if $(filter-out dev,$(VERSION)),--version $(VERSION) --app-version $(VERSION)) platform/*/chart

clean: ## remove build results
	rm -rf bin $(WEB)/node_modules
