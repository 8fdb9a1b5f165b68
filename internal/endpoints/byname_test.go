package endpoints_test

import (
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/resolver"
)

// nameServer answers what it is told to.
type nameServer struct {
	mu      sync.Mutex // protects records
	records map[string][]string
}

func (n *nameServer) set(question string, records ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.records == nil {
		n.records = map[string][]string{}
	}
	n.records[question] = records
}

func (n *nameServer) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := query.Question[0]
	reply := new(dns.Msg)
	reply.SetReply(query)
	records, known := n.records[q.Name+" "+dns.TypeToString[q.Qtype]]
	if !known {
		reply.Rcode = dns.RcodeServerFailure
	}
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			panic(err)
		}
		reply.Answer = append(reply.Answer, rr)
	}
	_ = w.WriteMsg(reply) // who asked may have given up
}

func (n *nameServer) serve(t *testing.T) resolver.Options {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: pc, Handler: n}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = pc.Close() })
	return resolver.Options{Servers: []string{pc.LocalAddr().String()}, Hosts: filepath.Join(t.TempDir(), "none"),
		MinTTL: 50 * time.Millisecond, MaxTTL: 200 * time.Millisecond}
}

func TestBackendsByName(t *testing.T) {
	t.Parallel()
	const byName = "names.viaduct.dev"
	dnsServer := &nameServer{}
	dnsServer.set("db.example. A", "db.example. 0 A 10.8.0.1", "db.example. 0 A 169.254.169.254")
	dnsServer.set("db.example. AAAA")
	w := newWorldWith(t, dnsServer.serve(t))
	w.foreignPod("10.8.0.66")
	w.service("db", annotated(annotations.Backends, "db.example:5432,10.8.0.9:5433"))
	w.waitFound("db", byName, "10.8.0.1 ready=true serving=true, 10.8.0.9 ready=true serving=true")
	if m := w.waitEvent("db", "BackendsNotResolved"); !strings.Contains(m, "169.254.169.254 is not used: it must not "+
		"be a link-local address") {
		t.Errorf("the event says %q", m)
	}
	for _, s := range w.slices("db") {
		if want := map[string]int32{"10.8.0.1": 5432,
			"10.8.0.9": 5433}[s.Endpoints[0].Addresses[0]]; *s.Ports[0].Port != want {
			t.Errorf("%v is at port %d", s.Endpoints[0].Addresses, *s.Ports[0].Port)
		}
	}
	w.service("spy", annotated(annotations.Backends, "10.8.0.66,10.8.0.67"))
	if m := w.waitEvent("spy", "BackendsNotResolved"); m != "10.8.0.66 is not used: it is the address of Pod bank/vault" {
		t.Errorf("the event says %q", m)
	}
	w.waitFound("spy", byName, "10.8.0.67 ready=true serving=true")
	dnsServer.set("db.example. A", "db.example. 0 A 10.8.0.2")
	w.waitFound("db", byName, "10.8.0.2 ready=true serving=true, 10.8.0.9 ready=true serving=true")
	w.waitEvent("db", "BackendsResolved")

	w.service("other", annotated(annotations.Backends, "gone.example:1,db.example:1"))
	w.waitFound("other", byName, "10.8.0.2 ready=true serving=true")
	if m := w.waitEvent("other", "BackendsNotResolved"); m != "gone.example: the name server answers SERVFAIL; it has "+
		"no address yet" {
		t.Errorf("the event says %q", m)
	}
	w.patch("services", "db", map[string]any{"spec": map[string]any{"selector": map[string]string{"app": "db"}},
		"metadata": map[string]any{"annotations": map[string]any{annotations.Backends: nil}}})
	w.waitFound("db", byName, "")
}

// What names stand for is checked like everything else that people name.
func TestBackendsByNameAreChecked(t *testing.T) {
	t.Parallel()
	dnsServer := &nameServer{}
	port, _ := database(t, "127.0.0.1")
	dnsServer.set("db.example. A", "db.example. 0 A 127.0.0.1", "db.example. 0 A 127.0.0.2")
	dnsServer.set("db.example. AAAA")
	w := newWorldWith(t, dnsServer.serve(t))
	w.service("db", annotated(annotations.Backends, "db.example", annotations.HealthCheck, quick),
		func(svc *v1.Service) { svc.Spec.Ports[0].TargetPort.IntVal = port })
	w.waitFound("db", "names.viaduct.dev", "127.0.0.1 ready=true serving=true, 127.0.0.2 ready=false serving=false")
}

// foreignPod makes the namespace bank with a Pod called vault.
func (w *world) foreignPod(ip string) {
	w.t.Helper()
	if _, err := w.client.CoreV1().Namespaces().Create(w.t.Context(),
		&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bank"}}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	pods := w.client.CoreV1().Pods("bank")
	pod, err := pods.Create(w.t.Context(), &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "vault"}, Spec: v1.PodSpec{NodeName: "n1",
			Containers: []v1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	pod.Status = v1.PodStatus{Phase: v1.PodRunning, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}}}
	if _, err := pods.UpdateStatus(w.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}
