package proxy

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/routing"
)

// balancingProblems lists the requests of a Service about balancing that this proxy does not fulfil.
func (p *Proxy) balancingProblems(name routing.Name) (list []problem) {
	svc, err := p.watch.services.Services(name.Namespace).Get(name.Name)
	if err != nil {
		return nil // a lister has only one error: not found
	}
	from := p.watch.slicesOf(name)
	if entry, _ := p.want.Entry(name); len(entry.Frontends) > 0 {
		list = append(list, p.policyProblem(entry.Frontends[0].Policy)...)
	}
	return append(list, annotationProblems(svc, from)...)
}

// policyProblem returns the problem of a policy that the Backend does not serve. It returns nothing if the Backend
// serves it.
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

// annotationProblems returns the annotations that have no effect.
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
