package nft_test

import (
	"testing"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
)

func TestConformance(t *testing.T) {
	proxytest.RunKernel(t, func(*testing.T) (proxy.Backend, error) {
		return nft.New(nft.Options{Pods: proxytest.PodRanges()})
	})
}
