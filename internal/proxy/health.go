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

// behindTime is how long a change may wait to be applied before the proxy counts as unhealthy: kube-proxy's default.
const behindTime = time.Minute

// health knows whether what the API says has been applied.
type health struct {
	mu      sync.Mutex // protects the following
	queued  time.Time  // since when the oldest change waits that no sync has taken up; zero: none
	taken   time.Time  // the same of those that the running sync, or one that failed, has taken up
	applied time.Time  // the end of the last sync without error
}

// change notes that something is to be applied.
func (h *health) change() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queued.IsZero() {
		h.queued = time.Now()
	}
}

// begin notes that a sync takes up what waits.
func (h *health) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken.IsZero() {
		h.taken = h.queued
	}
	h.queued = time.Time{}
}

// done notes that all of it was applied.
func (h *health) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken, h.applied = time.Time{}, time.Now()
}

// state says whether the proxy keeps up, and when it last did.
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

// Healthy reports whether everything that was to be applied for a minute has been.
func (p *Proxy) Healthy() bool {
	healthy, _ := p.health.state(time.Now())
	return healthy
}

// healthBody is what /healthz and /livez say, in the words of kube-proxy.
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

// HealthHandler answers /healthz, whether the node is to be sent connections, and /livez, whether the proxy works.
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

// nodeEligible reports whether load balancers may send this node connections.
func (p *Proxy) nodeEligible() bool {
	node, err := p.watch.nodes.Get(p.opts.NodeName)
	return err == nil && node.DeletionTimestamp == nil &&
		!slices.ContainsFunc(node.Spec.Taints, func(t v1.Taint) bool { return t.Key == autoscalerTaint })
}
