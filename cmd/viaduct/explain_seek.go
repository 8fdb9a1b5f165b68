package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"viaduct/internal/explain"
	"viaduct/internal/membership"
	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/routing"
)

// A seeker gathers what a story is told from: from the API server, from the proxy of this host, from its kernel.
type seeker struct {
	dataDir    string
	kubeconfig string
	context    string
	namespace  string
	proxy      string // URL
	probe      bool

	api kubernetes.Interface
}

func (s *seeker) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	registerDataDir(flags, &s.dataDir)
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "kubeconfig of the API server (default: $KUBECONFIG, the one in "+
		"--data-dir, then ~/.kube/config)")
	flags.StringVar(&s.context, "context", "", "context of the kubeconfig")
	flags.StringVarP(&s.namespace, "namespace", "n", "", "namespace (default: the context's)")
	s.proxy = "http://" + defaultMetricsPort
	flags.StringVar(&s.proxy, "proxy-address", s.proxy, "where this node's proxy answers (its --metrics-bind-address); "+
		"empty: it is not asked")
}

// open finds the API server.
func (s *seeker) open() error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	switch own := kubeconfigIn(s.dataDir); {
	case s.kubeconfig != "":
		rules.ExplicitPath = s.kubeconfig
	case os.Getenv("KUBECONFIG") == "" && !asPlugin():
		if _, err := os.Stat(own); err == nil {
			rules.ExplicitPath = own
		}
	}
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules,
		&clientcmd.ConfigOverrides{CurrentContext: s.context})
	if s.namespace == "" {
		namespace, _, err := config.Namespace()
		if err != nil {
			return fmt.Errorf("reading the kubeconfig: %w", err)
		}
		s.namespace = namespace
	}
	rest, err := config.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return fmt.Errorf("no API server is known: neither --kubeconfig nor $KUBECONFIG is given, and there is no %s: is "+
			"'viaduct up' running with this data directory?", kubeconfigIn(s.dataDir))
	}
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	rest.UserAgent = "viaduct-explain"
	rest.QPS = -1
	rest.WarningHandler = restclient.NoWarnings{} // of Endpoints, which are asked for on purpose
	s.api, err = newClient(rest)
	return err
}

// pluginName is the name by which kubectl finds this program as its plugin; then its kubeconfig is kubectl's.
const pluginName = "kubectl-viaduct"

func asPlugin() bool { return filepath.Base(os.Args[0]) == pluginName }

// readTime bounds one reading of everything.
const readTime = 30 * time.Second

func (s *seeker) report(ctx context.Context, kind, name string) (explain.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	if kind == kindPod {
		return s.pod(ctx, name)
	}
	world, err := s.world(ctx, name)
	if kind == kindEndpoints && apierrors.IsNotFound(err) {
		if _, err := s.api.CoreV1().Endpoints(s.namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return explain.Report{}, err
		}
		return explain.Report{Kind: "Endpoints", Namespace: s.namespace, Name: name,
			Verdict: fmt.Sprintf("There is no Service %s: nobody sends connections to these addresses.", name)}, nil
	}
	if err != nil {
		return explain.Report{}, s.where(err)
	}
	return explain.Service(world), nil
}

// where adds to an error that something is not there in which namespace it was looked for.
func (s *seeker) where(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w in namespace %s", err, s.namespace)
	}
	return err
}

func (s *seeker) pod(ctx context.Context, name string) (explain.Report, error) {
	pod, err := s.api.CoreV1().Pods(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return explain.Report{}, s.where(err)
	}
	services, err := s.api.CoreV1().Services(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return explain.Report{}, err
	}
	return explain.Pod(pod, pointers(services.Items)), nil
}

// world reads all about one Service. What nobody may read without more rights than for the namespace is left out if it
// is refused.
func (s *seeker) world(ctx context.Context, name string) (explain.World, error) {
	w := explain.World{Now: time.Now()}
	core := s.api.CoreV1()
	svc, err := core.Services(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return w, err
	}
	w.Service = svc
	pods, err := core.Pods(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return w, err
	}
	w.Pods = pointers(pods.Items)
	ep, err := core.Endpoints(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		w.Endpoints = ep
	} else if !apierrors.IsNotFound(err) {
		return w, err
	}
	list, err := s.api.DiscoveryV1().EndpointSlices(s.namespace).List(ctx,
		metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=" + name})
	if err != nil {
		return w, err
	}
	w.Slices = pointers(list.Items)
	if events, err := core.Events(s.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" +
		name}); err == nil {
		w.Events = pointers(events.Items)
	}
	s.abroad(ctx, &w)
	s.askProxy(ctx, &w)
	if s.probe {
		w.Probes = probeAll(ctx, explain.Ready(w))
	}
	return w, nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}

// abroad reads what is outside the namespace, as far as that is allowed.
func (s *seeker) abroad(ctx context.Context, w *explain.World) {
	core := s.api.CoreV1()
	if nodes, err := core.Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		w.Nodes = pointers(nodes.Items)
	}
	if membership.HasSelector(w.Service) {
		selector := labels.SelectorFromSet(w.Service.Spec.Selector).String()
		if pods, err := core.Pods("").List(ctx, metav1.ListOptions{LabelSelector: selector}); err == nil {
			for _, p := range pointers(pods.Items) {
				if p.Namespace != s.namespace {
					w.Elsewhere = append(w.Elsewhere, p)
				}
			}
		}
		return
	}
	w.At = map[netip.Addr][]*v1.Pod{}
	everybody := w.Pods
	if pods, err := core.Pods("").List(ctx, metav1.ListOptions{}); err == nil {
		everybody = pointers(pods.Items)
	}
	for _, p := range everybody {
		for _, addr := range membership.Addresses(p) {
			w.At[addr] = append(w.At[addr], p)
		}
	}
}

// askProxy asks the proxy of this host, and the kernel.
func (s *seeker) askProxy(ctx context.Context, w *explain.World) {
	if s.proxy == "" || w.Service.Spec.Type == v1.ServiceTypeExternalName || w.Service.Spec.ClusterIP == v1.ClusterIPNone {
		return
	}
	var state explain.NodeState
	err := getJSON(ctx, fmt.Sprintf("%s/debug/services/%s/%s", s.proxy, w.Service.Namespace, w.Service.Name), &state)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		w.NoProxy = fmt.Sprintf("no proxy answers at %s: what is applied on a node can be told on that node "+
			"(--proxy-address)", s.proxy)
		s.readKernel(w)
		if w.KernelOK { // it was programmed by a proxy that does not run any more
			w.NoProxy = fmt.Sprintf("no proxy answers at %s: the kernel is compared with what one would apply now, and "+
				"follows no change", s.proxy)
			w.Proxy = s.instead(w)
		}
	case errors.Is(err, errNotOurs):
		w.NoProxy = fmt.Sprintf("what answers at %s is %v: what it has applied cannot be told", s.proxy, err)
	case err != nil:
		w.NoProxy = fmt.Sprintf("the proxy was asked in vain: %v", err)
	default:
		if w.Proxy = &state; state.Mode == modeKernel {
			s.readKernel(w)
		}
	}
}

// readKernel reads what the kernel does for the Service. It takes root; else nothing is told of it.
func (s *seeker) readKernel(w *explain.World) {
	description, err := nft.Describe()
	if err != nil || len(description.Tables) == 0 {
		return
	}
	w.KernelOK = true
	for _, p := range description.Places {
		w.Kernel = append(w.Kernel, placeOf(p))
	}
}

// instead is what a proxy of this host would say if one ran.
func (s *seeker) instead(w *explain.World) *explain.NodeState {
	name, err := orHostName("")
	if err != nil {
		return nil
	}
	state := explain.NodeState{Node: routing.Node{Name: name}, Mode: modeKernel}
	for _, n := range w.Nodes {
		if n.Name == name {
			state.Node, _ = proxy.NodeOf(n, proxy.NodePorts{})
		}
	}
	state.Frontends = routing.Frontends(state.Node, w.Service, w.Slices)
	return &state
}

func placeOf(p nft.Place) explain.Place {
	place := explain.Place{Dest: p.Dest, Inside: distinctSlots(p.Inside), Broken: p.Inside.Holes > 0}
	place.Outside = place.Inside
	if p.Outside != nil {
		place.Outside = distinctSlots(*p.Outside)
		place.Broken = place.Broken || p.Outside.Holes > 0
	}
	return place
}

func distinctSlots(w nft.Way) []netip.AddrPort {
	slots := slices.SortedFunc(slices.Values(w.Slots), netip.AddrPort.Compare)
	return slices.Compact(slots)
}

// askTime bounds one question to the proxy.
const askTime = 5 * time.Second

// getJSON reads what url answers into to. An answer other than 200 is an error: errNotOurs, or with its text.
func getJSON(ctx context.Context, url string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return bareURL(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return json.Unmarshal(body, to)
	case http.StatusNotFound:
		return errNotOurs
	}
	return errors.New(strings.TrimSpace(string(body)))
}

// errNotOurs says that whoever answers does not know the question.
var errNotOurs = errors.New("no proxy of Viaduct, but perhaps kube-proxy")

func bareURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// probeTime bounds how long an address may take to accept a connection.
const probeTime = 2 * time.Second

// probeAll connects to each address, and tells what came of it; "": it accepted.
func probeAll(ctx context.Context, at []netip.AddrPort) map[netip.AddrPort]string {
	answers := make(map[netip.AddrPort]string, len(at))
	var mu sync.Mutex // protects answers
	var asking sync.WaitGroup
	room := make(chan struct{}, 64)
	for _, a := range at {
		asking.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			answer := dialOnce(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			answers[a] = answer
		})
	}
	asking.Wait()
	return answers
}

func dialOnce(ctx context.Context, at netip.AddrPort) string {
	conn, err := (&net.Dialer{Timeout: probeTime}).DialContext(ctx, "tcp", at.String())
	var number syscall.Errno
	var slow net.Error
	switch {
	case err == nil:
		_ = conn.Close() // it has answered
		return ""
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Sprintf("no answer within %v", probeTime)
	}
	return err.Error()
}
