package apitest

import (
	"net"
	"net/url"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"viaduct/internal/apiserver/store"
)

// Etcd starts an etcd of one member that several servers can share. It stops with the test.
func Etcd(t testing.TB) store.Cluster {
	t.Helper()
	at := url.URL{Scheme: "http", Host: freePort(t)}
	peer := url.URL{Scheme: "http", Host: freePort(t)}
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{at}, []url.URL{at}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	cfg.TickMs, cfg.ElectionMs = 25, 125
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(nil))
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatalf("starting etcd: %v", err)
	}
	t.Cleanup(etcd.Close)
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		t.Fatalf("starting etcd: %v", err)
	case <-time.After(startTimeout):
		t.Fatalf("etcd was not ready within %s", startTimeout)
	}
	return store.Cluster{Servers: []string{at.String()}}
}

// freePort returns a loopback address with a free port.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
