package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"viaduct/internal/echo"
)

// externalServers starts two servers that are not Pods, on one port of 127.0.0.1 and 127.0.0.2. It takes the port of
// the example if it is free, and any other free port otherwise.
func externalServers(examplePort uint16) (servers []*echo.Server, port uint16, err error) {
	var last error
	for _, port := range append([]uint16{examplePort}, make([]uint16, 10)...) {
		first, err := echo.New(echo.Options{Name: "server-a", HTTP: hostPort("127.0.0.1", port)})
		if err != nil {
			last = err
			continue
		}
		port = netip.MustParseAddrPort(first.Addr().String()).Port()
		second, err := echo.New(echo.Options{Name: "server-b", HTTP: hostPort("127.0.0.2", port)})
		if err == nil {
			return []*echo.Server{first, second}, port, nil
		}
		first.Close()
		last = errors.Join(last, err)
	}
	return nil, 0, fmt.Errorf("starting two servers that are not Pods: %w", last)
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// runExternalServers runs servers until stopExternalServers.
func (t *tour) runExternalServers(servers []*echo.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, len(servers))
	for _, s := range servers {
		go func() {
			s.Run(ctx) // a server that fails is noticed by the requests of step 4
			ended <- struct{}{}
		}()
	}
	t.external = servers
	t.stopExternalServers = func() {
		cancel()
		for range servers {
			<-ended
		}
	}
}
