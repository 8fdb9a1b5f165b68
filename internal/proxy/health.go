package proxy

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	v1 "k8s.io/api/core/v1"
)

// behindTime is how long a change may wait to be applied before the proxy counts as unhealthy. It is the default of
// kube-proxy.
const behindTime = time.Minute

// health records whether the state of the API is applied.
type health struct {
	mu      sync.Mutex // protects the following
	queued  time.Time  // the oldest change that no sync has taken up; zero: none
	taken   time.Time  // the oldest change that the running sync, or a failed one, has taken up; zero: none
	applied time.Time  // the end of the last sync without error
}

// change records that a change is to be applied.
func (h *health) change() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queued.IsZero() {
		h.queued = time.Now()
	}
}

// begin records that a sync takes up the waiting changes.
func (h *health) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken.IsZero() {
		h.taken = h.queued
	}
	h.queued = time.Time{}
}

// done records that a sync has applied all changes.
func (h *health) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken, h.applied = time.Time{}, time.Now()
}

// state reports whether the proxy keeps up. applied is the last time at which it did.
func (h *health) state(now time.Time) (healthy bool, applied time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	waits := func(since time.Time) bool { return !since.IsZero() && now.Sub(since) >= behindTime }
	healthy = !waits(h.queued) && !waits(h.taken)
	if healthy {
		return true, now
	}
	return false, h.applied
}

// Healthy reports whether no change has waited longer than a minute to be applied.
func (p *Proxy) Healthy() bool {
	healthy, _ := p.health.state(time.Now())
	return healthy
}

// healthBody is the body of /healthz and /livez. The fields are those of kube-proxy.
type healthBody struct {
	LastUpdated  time.Time               `json:"lastUpdated"`
	CurrentTime  time.Time               `json:"currentTime"`
	NodeEligible *bool                   `json:"nodeEligible,omitempty"`
	Healthy      bool                    `json:"healthy"`
	Status       map[string]familyHealth `json:"status"`
}

type familyHealth struct {
	LastUpdated time.Time `json:"lastUpdated"`
	Healthy     bool      `json:"healthy"`
}

// HealthHandler serves /healthz and /livez. /healthz reports whether load balancers should send connections to the
// node. /livez reports whether the proxy works.
func (p *Proxy) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	counted := func(answers *prometheus.CounterVec, answer http.HandlerFunc) http.Handler {
		return promhttp.InstrumentHandlerCounter(answers, answer)
	}
	mux.Handle("GET /healthz", counted(p.metrics.healthz, func(w http.ResponseWriter, _ *http.Request) {
		eligible := p.nodeEligible()
		p.answerHealth(w, &eligible)
	}))
	mux.Handle("GET /livez", counted(p.metrics.livez, func(w http.ResponseWriter, _ *http.Request) {
		p.answerHealth(w,
			nil)
	}))
	return mux
}

func (p *Proxy) answerHealth(w http.ResponseWriter, eligible *bool) {
	now := time.Now()
	healthy, applied := p.health.state(now)
	family := familyHealth{applied, healthy}
	body := healthBody{applied, now, eligible, healthy, map[string]familyHealth{"IPv4": family, "IPv6": family}}
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, healthy && (eligible == nil || *eligible), text)
}

// autoscalerTaint marks a node that the cluster autoscaler is about to remove.
const autoscalerTaint = "ToBeDeletedByClusterAutoscaler"

// nodeEligible reports whether load balancers may send connections to this node.
func (p *Proxy) nodeEligible() bool {
	node, err := p.watch.nodes.Get(p.opts.NodeName)
	return err == nil && node.DeletionTimestamp == nil &&
		!slices.ContainsFunc(node.Spec.Taints, func(t v1.Taint) bool { return t.Key == autoscalerTaint })
}
