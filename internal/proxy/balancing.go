package proxy

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/routing"
)

// balancingProblems lists what a Service asks for about balancing and does not get from this proxy.
func (p *Proxy) balancingProblems(name routing.Name) (list []problem) {
	svc, err := p.watch.services.Services(name.Namespace).Get(name.Name)
	if err != nil {
		return nil // the cache knows one error: not there
	}
	from := p.watch.slicesOf(name)
	if entry, _ := p.want.Entry(name); len(entry.Frontends) > 0 {
		list = append(list, p.policyProblem(entry.Frontends[0].Policy)...)
	}
	return append(list, annotationProblems(svc, from)...)
}

// policyProblem says that the Backend does not serve a policy; nothing if it does.
func (p *Proxy) policyProblem(policy routing.Policy) []problem {
	limited, ok := p.opts.Backend.(PolicyLimited)
	if !ok {
		return nil
	}
	why := limited.Unserved(policy)
	if why == "" {
		return nil
	}
	return []problem{{PolicyNotServed, fmt.Sprintf("the policy %s is not served on this node, because %s; connections "+
		"are "+
		"spread at random", policy, why)}}
}

// annotationProblems says which annotations have no effect.
func annotationProblems(svc *v1.Service, from []*discovery.EndpointSlice) (list []problem) {
	for _, text := range routing.InvalidBalancing(svc, from) {
		list = append(list, problem{InvalidAnnotation, text + "; it counts as not written"})
	}
	if names := routing.WithoutSlowStart(svc, from); len(names) > 0 {
		list = append(list, problem{"", fmt.Sprintf("the slow start does not apply to the endpoints of "+
			"EndpointSlice %s, which does not say when they became ready; only the controller of Viaduct writes that, for Pods",
			strings.Join(names, ", "))})
	}
	return list
}
