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

// probeTimeout bounds each step of what a diagnosis tries.
const probeTimeout = time.Second

// diagnose says why c does not answer: what goes wrong with each server. The etcd client itself only says that its time
// is over.
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

// probe connects to one server as far as it gets, and says what stopped it.
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
		if err := shakeHands(tls.Client(conn, config)); err != nil {
			return err
		}
	}
	return errors.New("it takes connections, but does not answer: it may have no leader, or want https")
}

// shakeHands logs in. With TLS 1.3 a server that refuses the client's certificate says so only after the handshake.
func shakeHands(conn *tls.Conn) error {
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
