package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// probeTimeout bounds each step of a diagnosis.
const probeTimeout = time.Second

// diagnose returns the problem of each server of a cluster that does not answer. The etcd client itself only reports
// that its deadline has passed.
func (c *Cluster) diagnose() error {
	config, err := c.tls()
	if err != nil {
		return err
	}
	var all []string
	for _, server := range c.Servers {
		all = append(all, fmt.Sprintf("%s: %v", server, probe(server, config)))
	}
	return errors.New(strings.Join(all, "; "))
}

// probe connects to one server and returns the first error.
func probe(server string, config *tls.Config) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", u.Host, probeTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if config != nil {
		config = config.Clone()
		config.ServerName, config.NextProtos = u.Hostname(), []string{"h2"}
		if err := handshake(tls.Client(conn, config)); err != nil {
			return err
		}
	}
	return errors.New("accepts connections, but does not answer: it may have no leader, or expect https")
}

// handshake makes the TLS handshake and reads one byte, since a TLS 1.3 server refuses a client certificate only
// after the handshake.
func handshake(conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	var silent net.Error
	if errors.As(err, &silent) && silent.Timeout() {
		return nil
	}
	return err
}
