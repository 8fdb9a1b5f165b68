# The two commands that matter need no make: go run ./cmd/viaduct demo, and go test ./...

.PHONY: build test race lint vuln numbers bench demo ci

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/viaduct ./cmd/viaduct

demo:
	go run ./cmd/viaduct demo

test:
	go test ./...

# The packages whose code or tests may run goroutines; test/house/concurrent.go says how they are found.
race:
	packages=$$(go run ./test/house concurrent) && CGO_ENABLED=1 go test -race $$packages

lint:
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	go vet ./...
	go tool staticcheck ./...

# Known vulnerabilities that the code reaches. The database comes through the module proxy.
vuln:
	.ci/vuln

numbers:
	go run ./test/house numbers

bench:
	go run ./bench

ci:
	.ci/run
