package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"viaduct/internal/apiserver/apitest"
)

// Informers of client-go follow what writers do while connections are cut, the server is ended and killed, and the
// store is compacted past what they have seen. They must end with what is there, and have been told of nothing else on
// the way.
func TestInformersMissAndInventNothing(t *testing.T) {
	t.Parallel()
	t.Run("store of the server", func(t *testing.T) {
		t.Parallel()
		newScene(t, nil).play()
	})
	t.Run("compacted etcd elsewhere", func(t *testing.T) {
		t.Parallel()
		etcd := apitest.Etcd(t).Servers[0]
		s := newScene(t, []string{"--etcd-servers", etcd})
		s.whileAway = func() { compact(t, etcd) }
		s.play()
	})
}

// compact throws away all history of the store.
func compact(t *testing.T, etcd string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}, DialTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	now, err := client.Get(t.Context(), "/none")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
}

// A scene is a server behind a gateway, writers that change objects of several kinds, and informers that follow them.
type scene struct {
	t         *testing.T
	host      *host
	flags     []string
	gateway   *gateway
	server    *running
	whileAway func() // what happens to the store while there is no server
	client    kubernetes.Interface
	objects   dynamic.Interface
	followed  []followed
	book      *chronicle
}

// followed is an informer, what its handler was told, and a fresh list to compare them with.
type followed struct {
	resource schema.GroupVersionResource
	told     *history
	store    cache.Store
}

func newScene(t *testing.T, flags []string) *scene {
	t.Helper()
	s := &scene{t: t, host: newHost(t), flags: flags, gateway: newGateway(t), whileAway: func() {},
		book: &chronicle{written: map[string]map[int]uint64{}}}
	s.start()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(s.host.dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	config.Host, config.QPS, config.WarningHandler = "https://"+s.gateway.address(), -1, rest.NoWarnings{}
	config.Timeout = patience // a watch is begun anew after that; a write would otherwise wait for ever
	if s.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if s.objects, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts the server, and lets clients through to it.
func (s *scene) start() {
	s.t.Helper()
	s.server = s.host.startServer(s.flags...)
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(s.host.dir, "kubeconfig"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.gateway.leadTo(strings.TrimPrefix(config.Host, "https://"))
}

func (s *scene) play() {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	s.follow(ctx, &running)
	writing, enough := context.WithCancel(ctx)
	defer enough()
	var writers sync.WaitGroup
	for resource := range templates() {
		writers.Go(func() { s.write(writing, resource) })
	}
	s.goesOn("the start")
	s.gateway.cut()
	s.goesOn("a cut of all connections")
	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		s.server.signal(end)
		s.server.wait()
		s.whileAway()
		s.start()
		s.goesOn(end.String() + " and a start")
	}
	enough()
	writers.Wait()
	s.compare()
	s.host.stop(s.server)
}

// follow starts the informers.
func (s *scene) follow(ctx context.Context, running *sync.WaitGroup) {
	s.t.Helper()
	factory := informers.NewSharedInformerFactory(s.client, 0)
	for resource := range templates() {
		informer, err := factory.ForResource(resource)
		if err != nil {
			s.t.Fatal(err)
		}
		told := &history{last: map[string]metav1.Object{}, seen: map[string][]version{}}
		if _, err := informer.Informer().AddEventHandler(told); err != nil {
			s.t.Fatal(err)
		}
		s.followed = append(s.followed, followed{resource: resource, told: told, store: informer.Informer().GetStore()})
	}
	factory.StartWithContext(ctx)
	running.Go(func() { <-ctx.Done(); factory.Shutdown() })
}

// goesOn waits until writers have been answered, and informers have heard of something, since now.
func (s *scene) goesOn(after string) {
	s.t.Helper()
	answers := s.book.answers.Load() + 40
	var heard []int
	for _, f := range s.followed {
		heard = append(heard, f.told.count()+5)
	}
	eventually(s.t, "clients go on after "+after, func() error {
		if got := s.book.answers.Load(); got < answers {
			return fmt.Errorf("%d answers are missing", answers-got)
		}
		for i, f := range s.followed {
			if got := f.told.count(); got < heard[i] {
				return fmt.Errorf("the informer of %s has heard of %d changes, want %d", f.resource.Resource, got, heard[i])
			}
		}
		return nil
	})
}

const (
	loadNamespace = "default"
	writeNumber   = "test/write" // the annotation that says which write made a version
	objectsOfKind = 6
)

// templates are the kinds that are written, with an object of each.
func templates() map[schema.GroupVersionResource]map[string]any {
	return map[schema.GroupVersionResource]map[string]any{
		{Version: "v1", Resource: "services"}: {"apiVersion": "v1", "kind": "Service",
			"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}}}},
		{Version: "v1", Resource: "pods"}: {"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{
			"containers": []any{map[string]any{"name": "main", "image": "any"}}}},
		{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}: {"apiVersion": "discovery.k8s.io/v1",
			"kind":        "EndpointSlice",
			"addressType": "IPv4", "endpoints": []any{map[string]any{"addresses": []any{"10.0.0.1"}}}},
	}
}

// write changes random objects of a kind until ctx ends. A write whose answer is lost is one that may have happened.
func (s *scene) write(ctx context.Context, resource schema.GroupVersionResource) {
	api := s.objects.Resource(resource).Namespace(loadNamespace)
	pause := time.NewTicker(2 * time.Millisecond) // informers are to be behind at times, not always
	defer pause.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("object-%d", rand.IntN(objectsOfKind))
		one, cancel := context.WithTimeout(ctx, patience)
		s.writeOne(one, api, resource.Resource+"/"+name, name, n, templates()[resource])
		cancel()
		<-pause.C
	}
}

func (s *scene) writeOne(ctx context.Context, api dynamic.ResourceInterface, key, name string, n int,
	template map[string]any) {
	obj, err := api.Get(ctx, name, metav1.GetOptions{})
	exists := err == nil
	if !exists {
		obj = &unstructured.Unstructured{Object: template}
		obj.SetName(name)
	}
	if exists && n%5 == 0 {
		if api.Delete(ctx, name, metav1.DeleteOptions{}) == nil {
			s.book.answers.Add(1)
		}
		return
	}
	obj.SetAnnotations(map[string]string{writeNumber: strconv.Itoa(n)})
	s.book.note(key, n, 0)
	if exists {
		obj, err = api.Update(ctx, obj, metav1.UpdateOptions{})
	} else {
		obj, err = api.Create(ctx, obj, metav1.CreateOptions{})
	}
	if err == nil {
		s.book.note(key, n, versionOf(obj))
		s.book.answers.Add(1)
	}
}
