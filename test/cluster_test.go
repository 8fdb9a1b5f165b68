package test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// A field is several servers, each on a data directory and at an address of its own, over one etcd.
type field struct {
	t       testing.TB
	etcd    *etcdCluster
	hosts   []*host
	servers []*running
	flags   [][]string
}

func newField(t testing.TB, servers int) *field {
	t.Helper()
	first := newHost(t)
	f := &field{t: t, etcd: newEtcd(t, first.addresses.Pods.Addr().Next()), servers: make([]*running, servers)}
	pki, at := filepath.Join(t.TempDir(), "pki"), first.addresses.Service(200)
	for range servers {
		f.hosts = append(f.hosts, &host{t: t, dir: filepath.Join(t.TempDir(), "data"), addresses: first.addresses})
		f.flags = append(f.flags, append(f.etcd.flags(), "--pki-dir", pki, "--listen", at.String()+":6443"))
		at = at.Next()
	}
	var starting sync.WaitGroup // at once: one of them makes the certificate authority
	for i := range servers {
		starting.Go(func() { f.start(i) })
	}
	starting.Wait()
	return f
}

func (f *field) start(i int) { f.servers[i] = f.hosts[i].startServer(f.flags[i]...) }

// addresses are where the i-th servers listen.
func (f *field) addresses(servers ...int) []string {
	var all []string
	for _, i := range servers {
		flags := f.flags[i]
		ip, _, _ := strings.Cut(flags[len(flags)-1], ":")
		all = append(all, ip)
	}
	slices.Sort(all)
	return all
}

// awaitEndpoints waits until the Service kubernetes sends clients to these servers, as the first of them says.
func (f *field) awaitEndpoints(servers ...int) {
	f.t.Helper()
	want := f.addresses(servers...)
	await(f.t, f.hosts[servers[0]].client().CoreV1().RESTClient(), "endpoints", metav1.NamespaceDefault, "kubernetes",
		&v1.Endpoints{},
		func(ep *v1.Endpoints) bool { return slices.Equal(readyAddresses(ep), want) })
}

// A crowd are clients that write all the time, each to its own account. One whose server does not answer goes to
// another.
type crowd struct {
	t       testing.TB
	book    *ledger
	clients []kubernetes.Interface
	stop    context.CancelFunc
	writing sync.WaitGroup
	answers atomic.Int64
}

func (f *field) crowd() *crowd {
	ctx, stop := context.WithCancel(f.t.Context())
	c := &crowd{t: f.t, book: newLedger(6), stop: stop}
	for _, h := range f.hosts {
		c.clients = append(c.clients, h.client())
	}
	for i, a := range c.book.accounts {
		c.writing.Go(func() { c.write(ctx, a, i) })
	}
	f.t.Cleanup(func() { stop(); c.writing.Wait() })
	return c
}

func (c *crowd) write(ctx context.Context, a *account, at int) {
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, patience/4)
		err := a.write(one, c.clients[at%len(c.clients)])
		cancel()
		if err == nil {
			c.answers.Add(1)
			continue
		}
		at++
		if err := c.lookUp(ctx, a, &at); err != nil && ctx.Err() == nil {
			c.t.Errorf("%s: %v", a.name, err)
			return
		}
	}
}

// lookUp finds out what became of a write that was not answered, from whichever server answers.
func (c *crowd) lookUp(ctx context.Context, a *account, at *int) error {
	for tick := time.Tick(50 * time.Millisecond); ; {
		one, cancel := context.WithTimeout(ctx, patience/4)
		found, err := c.clients[*at%len(c.clients)].CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(one, a.name,
			metav1.GetOptions{})
		cancel()
		switch {
		case err == nil:
			return a.audit(found)
		case apierrors.IsNotFound(err):
			return a.audit(nil)
		}
		*at++
		select {
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// goesOn requires that clients are answered now, whatever has just happened.
func (c *crowd) goesOn(after string) {
	c.t.Helper()
	enough := c.answers.Load() + 100
	start := time.Now()
	eventually(c.t, "clients go on after "+after, func() error {
		if got := c.answers.Load(); got < enough {
			return fmt.Errorf("%d answers are missing", enough-got)
		}
		return nil
	})
	c.t.Logf("after %s: 100 answers in %s", after, time.Since(start).Round(time.Millisecond))
}

// Three etcd members and two servers: any one of the five is killed under load, and the clients go on.
func TestClusterLosesAnyone(t *testing.T) {
	t.Parallel()
	f := newField(t, 2)
	f.awaitEndpoints(0, 1)
	clients := f.crowd()
	clients.goesOn("the start")
	watcher := f.watcher(1)

	for i := range f.etcd.members {
		f.etcd.kill(i)
		clients.goesOn("kill -9 of " + f.etcd.members[i].Name)
		f.etcd.launch(i)
		f.etcd.awaitMember(i)
		clients.goesOn("its return")
	}

	f.servers[0].signal(syscall.SIGKILL)
	f.servers[0].wait()
	clients.goesOn("kill -9 of the first server")
	f.awaitEndpoints(1)
	f.start(0)
	f.awaitEndpoints(0, 1)

	f.servers[1].signal(syscall.SIGTERM)
	if code := f.servers[1].wait(); code != 0 {
		t.Errorf("the second server exits %d", code)
	}
	f.awaitEndpoints(0)
	clients.goesOn("the end of the second server")
	f.start(1)
	f.awaitEndpoints(1, 0)

	for i := range f.etcd.members {
		f.etcd.kill(i)
	}
	eventually(t, "a server without a store is not ready", func() error {
		if r := f.hosts[0].tryKubectl("", "get", "--raw", "/readyz"); r.code == 0 || !strings.Contains(r.stderr,
			"[-]etcd failed") {
			return fmt.Errorf("/readyz is answered %s", r.all())
		}
		return nil
	})
	for i := range f.etcd.members {
		f.etcd.launch(i)
	}
	clients.goesOn("kill -9 of all members at once")

	clients.stop()
	clients.writing.Wait()
	for i, h := range f.hosts {
		clients.book.audit(t, h.client())
		if t.Failed() {
			t.Fatalf("as server %d says", i)
		}
	}
	watcher.wantAll(clients.book)
	t.Logf("%d acknowledged writes, all there", clients.book.written())
	for i, server := range f.servers {
		server.signal(syscall.SIGTERM)
		if code := server.wait(); code != 0 {
			t.Errorf("server %d exits %d after SIGTERM", i, code)
		}
	}
}

// A watcher is a client-go informer: what it believes to be there.
type watcher struct {
	t     testing.TB
	store cache.Store
}

func (f *field) watcher(server int) *watcher {
	f.t.Helper()
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(f.hosts[server].client().CoreV1().RESTClient(), "configmaps",
			metav1.NamespaceDefault, fields.Everything()),
		ObjectType: &v1.ConfigMap{}, Handler: cache.ResourceEventHandlerFuncs{},
	})
	ctx, stop := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	running.Go(func() { controller.RunWithContext(ctx) })
	f.t.Cleanup(func() { stop(); running.Wait() })
	return &watcher{f.t, store}
}

// wantAll requires that the informer ends up with what is there, however often its server and etcd were away.
func (w *watcher) wantAll(book *ledger) {
	w.t.Helper()
	eventually(w.t, "the informer catches up", func() error {
		for _, a := range book.accounts {
			obj, there, err := w.store.GetByKey(metav1.NamespaceDefault + "/" + a.name)
			if err != nil || there != a.acknowledged.there {
				return fmt.Errorf("%s: %v, %v, want %+v", a.name, there, err, a.acknowledged)
			}
			if there && obj.(*v1.ConfigMap).Data["n"] != fmt.Sprint(a.acknowledged.n) {
				return fmt.Errorf("%s: it has %s, want %+v", a.name, obj.(*v1.ConfigMap).Data["n"], a.acknowledged)
			}
		}
		return nil
	})
}

// A server waits for an etcd that is not there yet, says why, and can be ended meanwhile.
func TestEtcdThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	nobody := "http://" + h.addresses.Service(9).String() + ":2379"
	server := startProcess(t, viaductCommand(t, "server", "--data-dir", h.dir, "--listen", "127.0.0.1:0", "--etcd-servers",
		nobody))
	server.out.await(t, "waiting for etcd", server.ended)
	for _, want := range []string{nobody, "connection refused"} {
		if !strings.Contains(server.out.text(), want) {
			t.Errorf("it does not say %q:\n%s", want, server.out.text())
		}
	}
	server.signal(syscall.SIGTERM)
	server.wait()
}
