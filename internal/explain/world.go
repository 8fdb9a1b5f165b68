// Package explain tells the story of one Service, Pod or Endpoints object: what is asked for, what there should be,
// what there is, and what a colleague would say of it. It computes again, by membership and table, what the controller
// and the proxy computed, and compares. It must not ask anybody: what it is to know is in a World.
package explain

import (
	"net/netip"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/membership"
	"viaduct/internal/routing"
)

// A World is all that a story is told from.
type World struct {
	Now       time.Time
	Service   *v1.Service
	Pods      []*v1.Pod                // of the Service's namespace
	Elsewhere []*v1.Pod                // of other namespaces, with the labels that the selector asks for
	At        map[netip.Addr][]*v1.Pod // who has an address that people wrote
	Nodes     []*v1.Node
	Topology  func(func(*membership.Topology)) // in place of Nodes, if not nil
	Endpoints *v1.Endpoints                    // nil: there are none
	Slices    []*discovery.EndpointSlice
	Events    []*v1.Event // about the Service and its Endpoints
	LastError string      // why the last write of the controller that is asked failed

	Proxy    *NodeState // what the proxy of this host has applied; nil: it cannot be asked
	NoProxy  string     // why it cannot
	Kernel   []Place    // what the kernel's table does for the Service
	KernelOK bool       // it could be read

	// what asking an address just now came to: "" it answered, else why not; nil: nobody asked
	Probes map[netip.AddrPort]string
}

// A NodeState is what a proxy answers about a Service; the fields are those of proxy.State.
type NodeState struct {
	Node      routing.Node
	Mode      string
	Applied   time.Time
	Frontends []routing.Frontend
	Problems  []string
	SetAside  []SetAside
}

// SetAside is an endpoint that the proxy sends no connections to for a while.
type SetAside struct {
	Endpoint     netip.AddrPort
	Cause        string
	Since, Until time.Time
}

// A Place is what the kernel does with connections to one address.
type Place struct {
	Dest            routing.Dest
	Inside, Outside []netip.AddrPort // where they go; sorted, distinct
	Broken          bool             // parts of it are missing
}

// A Report is the story.
type Report struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Healthy   bool      `json:"healthy"` // connections are answered, and all is as it should be
	Verdict   string    `json:"verdict"` // one or two sentences
	Problems  []Problem `json:"problems,omitempty"`
	Notes     []string  `json:"notes,omitempty"` // worth knowing, and wrong with nothing

	About     []string      `json:"about,omitempty"` // the Service in a few lines
	Pods      []PodLine     `json:"pods,omitempty"`
	Misses    []Miss        `json:"nearMisses,omitempty"`
	Addresses []AddressLine `json:"addresses,omitempty"` // written by hand or by name
	Objects   []ObjectLine  `json:"objects,omitempty"`
	Proxy     *ProxyLines   `json:"proxy,omitempty"`
	Probes    []ProbeLine   `json:"probes,omitempty"`
	Services  []ServiceLine `json:"services,omitempty"` // of a Pod: those that select it, or nearly
}

// The stages that a Problem can be in, in the order of the story.
const (
	StageService   = "service"
	StageSelector  = "selector"
	StagePods      = "pods"
	StageAddresses = "addresses"
	StageEndpoints = "endpoints"
	StageSlices    = "slices"
	StageProxy     = "proxy"
	StageKernel    = "kernel"
	StageProbe     = "probe"
)

// A Problem is what is not as it should be at one stage.
type Problem struct {
	Stage    string `json:"stage"`
	Sentence string `json:"sentence"`
}

// A PodLine is one Pod that the selector selects.
type PodLine struct {
	Name     string     `json:"name"`
	Listed   bool       `json:"listed"`
	Ready    bool       `json:"ready"` // it gets new connections
	Reason   string     `json:"reason"`
	Since    *time.Time `json:"since,omitempty"`
	Sentence string     `json:"sentence"`
}

// A Miss is what keeps Pods from being selected that nearly are.
type Miss struct {
	Pods []string `json:"pods"`
	Why  string   `json:"why"`
}

// An AddressLine is one address that a person wrote, or that a name stands for.
type AddressLine struct {
	Address  string     `json:"address"`
	Ports    []int      `json:"ports"`
	Ready    bool       `json:"ready"`
	Reason   string     `json:"reason"`
	Sentence string     `json:"sentence"`
	From     string     `json:"from"`            // the object that it stands in
	Cause    string     `json:"cause,omitempty"` // what its check found
	Since    *time.Time `json:"since,omitempty"` // since when, if that is known
	Pod      string     `json:"pod,omitempty"`   // namespace/name of the Pod that has it now
}

// An ObjectLine is one Endpoints object or EndpointSlice.
type ObjectLine struct {
	Object   string     `json:"object"`
	Ready    int        `json:"ready"`
	NotReady int        `json:"notReady"`
	KeptBy   string     `json:"keptBy"`
	Written  *time.Time `json:"written,omitempty"` // last
	Writer   string     `json:"writer,omitempty"`  // by whom
	Wrong    string     `json:"wrong,omitempty"`
}

// ProxyLines are what a proxy has applied.
type ProxyLines struct {
	Node    string      `json:"node"`
	Mode    string      `json:"mode"`
	Applied *time.Time  `json:"applied,omitempty"`
	Places  []PlaceLine `json:"places"`
	Aside   []AsideLine `json:"setAside,omitempty"`
}

// A PlaceLine is one address that clients connect to.
type PlaceLine struct {
	Place   string `json:"place"`
	Inside  string `json:"inside"`  // where connections of this node go
	Outside string `json:"outside"` // where those from elsewhere go
	Wrong   string `json:"wrong,omitempty"`
}

// An AsideLine is an endpoint that gets no connections for a while.
type AsideLine struct {
	Endpoint string    `json:"endpoint"`
	Cause    string    `json:"cause"`
	Until    time.Time `json:"until"`
}

// A ProbeLine is what asking an address came to.
type ProbeLine struct {
	Address string `json:"address"`
	Answer  string `json:"answer"`
	OK      bool   `json:"ok"`
}

// A ServiceLine is what one Service makes of a Pod.
type ServiceLine struct {
	Name     string `json:"name"`
	Listed   bool   `json:"listed"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason"`
	Sentence string `json:"sentence"`
}

func (r *Report) problem(stage, sentence string) {
	r.Problems = append(r.Problems, Problem{stage, sentence})
}

func (r *Report) note(sentence string) { r.Notes = append(r.Notes, sentence) }
