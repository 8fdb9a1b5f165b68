// Package explain renders what is decided about one Service, Pod or Endpoints object as a Report: what is asked for,
// what there should be, what there is, and a verdict in one or two sentences. A membership.Decision says what there
// should be; the package decides nothing. It is pure: package collect reads what a Report is made from.
package explain

import (
	"net/netip"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/membership"
	"viaduct/internal/routing"
)

// A Snapshot is everything that the Report of a Service is made from.
type Snapshot struct {
	membership.Inputs                     // Pods are all Pods of the Service's namespace
	Decision          membership.Decision // for the Inputs
	Now               time.Time
	Elsewhere         []*v1.Pod   // of other namespaces, with the labels that the selector asks for
	Events            []*v1.Event // about the Service and its Endpoints
	LastError         string      // why the last write of the controller failed; "": it did not, or that is not known

	Proxy    *NodeState // what the proxy of this node has applied; nil: not known
	NoProxy  string     // why it is not known
	Kernel   []Place    // what the kernel's table does for the Service
	KernelOK bool       // the kernel's table could be read

	// Probes are the outcomes of connecting to addresses just now: "" if the address accepted, else why it did not. nil:
	// no address was asked.
	Probes map[netip.AddrPort]string
}

// A NodeState is what a proxy answers about a Service. It is decoded from the JSON of proxy.State.
type NodeState struct {
	Node      routing.Node
	Mode      string
	Applied   time.Time
	Frontends []routing.Frontend
	Problems  []string
	SetAside  []SetAside
}

// A SetAside is an endpoint to which the proxy sends no connections for a while.
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

// A Report says what is so, why, and what is wrong.
type Report struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Healthy   bool      `json:"healthy"` // connections are answered, and all is as it should be
	Verdict   string    `json:"verdict"` // one or two sentences
	Problems  []Problem `json:"problems,omitempty"`
	Notes     []string  `json:"notes,omitempty"` // worth knowing, and no fault

	About     []string      `json:"about,omitempty"` // the Service in a few lines
	Pods      []PodLine     `json:"pods,omitempty"`
	Misses    []NearMiss    `json:"nearMisses,omitempty"`
	Addresses []AddressLine `json:"addresses,omitempty"` // written by hand or by name
	Objects   []ObjectLine  `json:"objects,omitempty"`
	Proxy     *ProxyLines   `json:"proxy,omitempty"`
	Probes    []ProbeLine   `json:"probes,omitempty"`
	Services  []ServiceLine `json:"services,omitempty"` // of a Pod: those that select it, or nearly
}

// The stages of a Problem, in the order in which connections depend on them.
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

// A NearMiss is a label that keeps Pods from being selected whose other labels match.
type NearMiss struct {
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
