package membership

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// An Index finds the Services that select a Pod, and the Pods that a Service selects, without looking at all the
// others: the work is in proportion to the labels of the Pod and to the number of results.
//
// Each Service is filed under one label of its selector: the label that the fewest selectors ask for. A label that all
// Services have in common would return all of them for every Pod. The zero Index is not ready for use. An Index is for
// one goroutine at a time.
type Index struct {
	services map[types.NamespacedName]*selecting
	pods     map[types.NamespacedName]*selected
	filed    map[label]map[*selecting]bool // the Services, each under one label of its selector
	asked    map[label]int                 // the number of selectors that ask for a label
	labelled map[label]map[*selected]bool  // the Pods, each under all its labels
}

// label is one label of one namespace.
type label struct{ namespace, key, value string }

// selecting is a Service that chooses Pods.
type selecting struct {
	key      types.NamespacedName
	selector map[string]string
	under    label
	pods     map[*selected]bool
}

// selected is a Pod, whether or not any Service selects it.
type selected struct {
	pod *v1.Pod
	by  []*selecting // few, mostly one Service
}

// NewIndex makes an empty Index.
func NewIndex() *Index {
	return &Index{
		services: map[types.NamespacedName]*selecting{}, pods: map[types.NamespacedName]*selected{},
		filed: map[label]map[*selecting]bool{}, asked: map[label]int{}, labelled: map[label]map[*selected]bool{},
	}
}

// SetService adds a Service, or updates its selector. A Service that chooses no Pods is removed.
func (x *Index) SetService(svc *v1.Service) {
	key := types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}
	if !ChoosesPods(svc) {
		x.DropService(key)
		return
	}
	if s := x.services[key]; s != nil {
		if maps.Equal(s.selector, svc.Spec.Selector) {
			return
		}
		x.DropService(key)
	}
	s := &selecting{key: key, selector: svc.Spec.Selector, pods: map[*selected]bool{}}
	x.services[key] = s
	x.file(s)
	// unordered: join adds to sets
	for p := range x.labelled[x.rarest(s, func(l label) int { return len(x.labelled[l]) })] {
		x.join(s, p)
	}
}

// join records that s selects p, if it does.
func (x *Index) join(s *selecting, p *selected) {
	if selects(s.selector, p.pod.Labels) {
		s.pods[p] = true
		p.by = append(p.by, s)
	}
}

// ChoosesPods says whether the endpoints of svc are Pods: it has a selector and is not of type ExternalName.
func ChoosesPods(svc *v1.Service) bool {
	return HasSelector(svc) && svc.Spec.Type != v1.ServiceTypeExternalName
}

func (x *Index) file(s *selecting) {
	s.under = x.rarest(s, func(l label) int { return x.asked[l] })
	if x.filed[s.under] == nil {
		x.filed[s.under] = map[*selecting]bool{}
	}
	x.filed[s.under][s] = true
	for k, v := range s.selector {
		x.asked[label{s.key.Namespace, k, v}]++
	}
}

// rarest returns the label of a selector with the lowest count. Of labels with the same count it returns the one with
// the smallest key.
func (x *Index) rarest(s *selecting, count func(label) int) label {
	var best label
	fewest := -1
	for k, v := range s.selector { // unordered: of two labels with the same count, the smaller key is taken
		l := label{s.key.Namespace, k, v}
		if n := count(l); fewest < 0 || n < fewest || n == fewest && k < best.key {
			best, fewest = l, n
		}
	}
	return best
}

// DropService removes a Service from the Index, if it is there.
func (x *Index) DropService(key types.NamespacedName) {
	s := x.services[key]
	if s == nil {
		return
	}
	delete(x.services, key)
	for p := range s.pods { // unordered: each Pod has a list of its own
		p.by = slices.DeleteFunc(p.by, func(other *selecting) bool { return other == s })
	}
	drop(x.filed, s.under, s)
	for k, v := range s.selector {
		l := label{key.Namespace, k, v}
		if x.asked[l]--; x.asked[l] == 0 {
			delete(x.asked, l)
		}
	}
}

// SetPod adds a Pod, or updates it. It returns the Services that select the Pod now or selected it before, in no order.
func (x *Index) SetPod(pod *v1.Pod) []types.NamespacedName {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	p := x.pods[key]
	if p != nil && maps.Equal(p.pod.Labels, pod.Labels) {
		p.pod = pod
		return p.services(nil)
	}
	var concerned []types.NamespacedName
	if p != nil {
		concerned = x.DropPod(key)
	}
	p = &selected{pod: pod}
	x.pods[key] = p
	for k, v := range pod.Labels {
		l := label{pod.Namespace, k, v}
		if x.labelled[l] == nil {
			x.labelled[l] = map[*selected]bool{}
		}
		x.labelled[l][p] = true
		for s := range x.filed[l] { // unordered: join adds to sets
			x.join(s, p)
		}
	}
	return p.services(concerned)
}

// services appends the Services that select p to a list, without repeating those already in it.
func (p *selected) services(to []types.NamespacedName) []types.NamespacedName {
	already := to
	for _, s := range p.by {
		if !slices.Contains(already, s.key) {
			to = append(to, s.key)
		}
	}
	return to
}

// DropPod removes a Pod from the Index, if it is there. It returns the Services that selected the Pod, in no order.
func (x *Index) DropPod(key types.NamespacedName) []types.NamespacedName {
	p := x.pods[key]
	if p == nil {
		return nil
	}
	delete(x.pods, key)
	for k, v := range p.pod.Labels { // unordered: drop removes from sets
		drop(x.labelled, label{key.Namespace, k, v}, p)
	}
	for _, s := range p.by {
		delete(s.pods, p)
	}
	return p.services(nil)
}

// Selecting returns the Services that select a Pod, in no order.
func (x *Index) Selecting(pod types.NamespacedName) []types.NamespacedName {
	if p := x.pods[pod]; p != nil {
		return p.services(nil)
	}
	return nil
}

// Pods returns the Pods that svc selects, in no order; false if the Index does not know svc with this selector (yet).
func (x *Index) Pods(svc *v1.Service) ([]*v1.Pod, bool) {
	s := x.services[types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}]
	if s == nil || !maps.Equal(s.selector, svc.Spec.Selector) {
		return nil, false
	}
	pods := make([]*v1.Pod, 0, len(s.pods))
	for p := range s.pods { // unordered: OfPods sorts the members
		pods = append(pods, p.pod)
	}
	return pods, true
}

// drop removes value from the set m[key], and removes the set from m if it is empty.
func drop[K, V comparable](m map[K]map[V]bool, key K, value V) {
	delete(m[key], value)
	if len(m[key]) == 0 {
		delete(m, key)
	}
}
