// Package explain reports on one Service, Pod or Endpoints object: what is asked for, the desired objects, the existing
// objects, and a verdict in one or two sentences. The desired objects come from a membership.Decision; this package
// decides nothing. It is pure: package collect reads the inputs of a Report.
package explain

import (
	"net/netip"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/membership"
	"viaduct/internal/routing"
)

// A Snapshot holds all inputs of the Report of a Service.
type Snapshot struct {
	membership.Inputs                     // Pods are all Pods of the Service's namespace
	Decision          membership.Decision // for the Inputs
	Now               time.Time
	Elsewhere         []*v1.Pod   // Pods of other namespaces with the labels of the selector
	Events            []*v1.Event // about the Service and its Endpoints
	LastError         string      // the error of the controller's last write; "": it succeeded, or this is not known

	Proxy    *NodeState // what the proxy of this node has applied; nil: not known
	NoProxy  string     // why Proxy is not known
	Kernel   []Place    // what the kernel's table does with connections to the Service
	KernelOK bool       // the kernel's table could be read

	// Probes are the results of connecting to addresses just now: "" if the address accepted the connection, else the
	// error. nil: no address was probed.
	Probes map[netip.AddrPort]string
}

// A NodeState is the state of a Service in a proxy. It is decoded from the JSON of proxy.State.
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
	Inside, Outside []netip.AddrPort // backends of connections from this node, and from elsewhere; sorted, distinct
	Broken          bool             // parts of the rules are missing
}

// A Report describes the state of one object, the reasons for it, and its problems.
type Report struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Healthy   bool      `json:"healthy"` // connections are answered, and nothing differs from the desired state
	Verdict   string    `json:"verdict"` // one or two sentences
	Problems  []Problem `json:"problems,omitempty"`
	Notes     []string  `json:"notes,omitempty"` // useful facts that are no problem

	About     []string      `json:"about,omitempty"` // the Service in a few lines
	Pods      []PodLine     `json:"pods,omitempty"`
	Misses    []NearMiss    `json:"nearMisses,omitempty"`
	Addresses []AddressLine `json:"addresses,omitempty"` // written by hand or by name
	Objects   []ObjectLine  `json:"objects,omitempty"`
	Proxy     *ProxyLines   `json:"proxy,omitempty"`
	Probes    []ProbeLine   `json:"probes,omitempty"`
	Services  []ServiceLine `json:"services,omitempty"` // for a Pod: the Services that select it, or nearly
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

// A Problem is a difference from the desired state at one stage.
type Problem struct {
	Stage    string `json:"stage"`
	Sentence string `json:"sentence"`
}

// A PodLine is one Pod that the selector selects.
type PodLine struct {
	Name     string     `json:"name"`
	Listed   bool       `json:"listed"`
	Ready    bool       `json:"ready"` // the Pod gets new connections
	Reason   string     `json:"reason"`
	Since    *time.Time `json:"since,omitempty"`
	Sentence string     `json:"sentence"`
}

// A NearMiss is a label that keeps Pods from being selected although all their other labels match.
type NearMiss struct {
	Pods []string `json:"pods"`
	Why  string   `json:"why"`
}

// An AddressLine is one address that a person wrote, or that a name resolves to.
type AddressLine struct {
	Address  string     `json:"address"`
	Ports    []int      `json:"ports"`
	Ready    bool       `json:"ready"`
	Reason   string     `json:"reason"`
	Sentence string     `json:"sentence"`
	From     string     `json:"from"`            // the object in which it is written
	Cause    string     `json:"cause,omitempty"` // the error of its health check
	Since    *time.Time `json:"since,omitempty"` // when it went down, if that is known
	Pod      string     `json:"pod,omitempty"`   // namespace/name of the Pod that has it now
}

// An ObjectLine is one Endpoints object or EndpointSlice.
type ObjectLine struct {
	Object   string     `json:"object"`
	Ready    int        `json:"ready"`
	NotReady int        `json:"notReady"`
	KeptBy   string     `json:"keptBy"`
	Written  *time.Time `json:"written,omitempty"` // the time of the last write
	Writer   string     `json:"writer,omitempty"`  // the client of the last write
	Wrong    string     `json:"wrong,omitempty"`
}

// ProxyLines describe what a proxy has applied.
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
	Inside  string `json:"inside"`  // the backends of connections from this node
	Outside string `json:"outside"` // the backends of connections from elsewhere
	Wrong   string `json:"wrong,omitempty"`
}

// An AsideLine is an endpoint that gets no connections for a while.
type AsideLine struct {
	Endpoint string    `json:"endpoint"`
	Cause    string    `json:"cause"`
	Until    time.Time `json:"until"`
}

// A ProbeLine is the result of probing one address.
type ProbeLine struct {
	Address string `json:"address"`
	Answer  string `json:"answer"`
	OK      bool   `json:"ok"`
}

// A ServiceLine is the verdict of one Service on a Pod.
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
