package userspace_test

import (
	"testing"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/proxy/userspace"
)

func TestConformance(t *testing.T) {
	proxytest.Run(t, func(*testing.T) proxy.Backend { return userspace.New(userspace.Options{}) },
		proxytest.Options{Binds: true, CountsConnections: true})
}
