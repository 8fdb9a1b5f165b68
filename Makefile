# The two commands that matter need no make: go run ./cmd/viaduct demo, and go test ./...

GOROUTINES = ./internal/endpoints/... ./internal/healthcheck/... ./internal/resolver/... ./internal/history/... ./internal/scheduler/... ./internal/prober/... ./internal/loop/... ./internal/node/... \
	./internal/proxy/... ./internal/routing/... ./internal/narrate/... ./internal/apiserver/access/... ./internal/apiserver/allocation/... \
	./internal/apiserver/lifecycle/... ./internal/apiserver/store/... ./internal/apiserver/backup/... ./internal/apiserver/tokens/... ./internal/leader/...

.PHONY: build test race lint bench demo ci

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/viaduct ./cmd/viaduct

demo:
	go run ./cmd/viaduct demo

test:
	go test ./...

race:
	CGO_ENABLED=1 go test -race $(GOROUTINES)

lint:
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	go vet ./...
	go tool staticcheck ./...

bench:
	go run ./bench

ci:
	.ci/run
