package apiserver

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
)

// etcd is the embedded store: one member, in this process, reached by function calls. It listens nowhere.
type etcd struct {
	server *embed.Etcd
	client *kubernetes.Client
}

// startEtcd opens the store under dir, and returns once it can be written to.
func startEtcd(ctx context.Context, dir string) (*etcd, error) {
	server, err := embed.StartEtcd(etcdConfig(dir))
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		server.Close()
		return nil, fmt.Errorf("starting the store in %s: %w", dir, err)
	case <-ctx.Done():
		server.Close()
		return nil, ctx.Err()
	}
	client := inProcessClient(server)
	feature.DefaultFeatureSupportChecker.CheckClient(ctx, namedEndpoint{client.Client}, storage.RequestWatchProgress)
	return &etcd{server: server, client: client}, nil
}

func etcdConfig(dir string) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "viaduct"
	cfg.Dir = filepath.Join(dir, "etcd")
	// Nobody dials a member that is alone; the URLs are only its name in its own membership list.
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.AdvertisePeerUrls = []url.URL{peer}
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	// A member that is alone always wins its election: waiting a whole second for it would be the longest part of a warm start.
	cfg.TickMs, cfg.ElectionMs = 25, 125
	cfg.QuotaBackendBytes = 8 << 30
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(zapcore.NewNopCore()))
	return cfg
}

// inProcessClient wraps the server's own client in the form that the storage layer wants.
func inProcessClient(server *embed.Etcd) *kubernetes.Client {
	c := &kubernetes.Client{Client: v3client.New(server.Server)}
	c.KV = etcd3.NewETCDLatencyTracker(c.KV)
	c.Kubernetes = c
	return c
}

// Close stops the store; what was acknowledged is on disk already.
func (e *etcd) Close() {
	_ = e.client.Close()
	e.server.Close()
}

// namedEndpoint gives the in-process client an endpoint to be asked about. Without one, the storage layer never learns that this
// etcd reports watch progress, and then refuses consistent reads and streaming lists from its cache.
type namedEndpoint struct{ *clientv3.Client }

func (namedEndpoint) Endpoints() []string { return []string{"in-process"} }
