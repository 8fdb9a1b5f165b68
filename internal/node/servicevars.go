package node

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// errNoServiceLinks is the error for a Pod whose enableServiceLinks was not defaulted. A guess could give a program
// variables that its Pod has disabled, or omit variables that it expects.
var errNoServiceLinks = errors.New("spec.enableServiceLinks is not set, so the Service variables of the " +
	"container are unknown")

// serviceVariables gives the variables with the addresses of Services for the containers of a Pod. Headless Services
// and those without an address give none. default/kubernetes is always included; the Services of the Pod's own
// namespace are included unless enableServiceLinks is false. If two Services give the same variable, the first by name
// wins.
func serviceVariables(pod *v1.Pod, services []*v1.Service) (map[string]string, error) {
	if pod.Spec.EnableServiceLinks == nil {
		return nil, errNoServiceLinks
	}
	vars := map[string]string{}
	for _, svc := range linkedServices(pod.Namespace, *pod.Spec.EnableServiceLinks, services) {
		addServiceVariables(vars, svc)
	}
	return vars, nil
}

// linkedServices gives the Services that are visible from namespace, sorted by name, one of each name.
func linkedServices(namespace string, links bool, services []*v1.Service) []*v1.Service {
	byName := map[string]*v1.Service{}
	for _, svc := range services {
		own := links && svc.Namespace == namespace
		if !own && !isMaster(svc) || !hasClusterIP(svc) {
			continue
		}
		if byName[svc.Name] == nil || own {
			byName[svc.Name] = svc
		}
	}
	picked := make([]*v1.Service, 0, len(byName))
	for _, svc := range byName {
		picked = append(picked, svc)
	}
	slices.SortFunc(picked, func(a, b *v1.Service) int { return strings.Compare(a.Name, b.Name) })
	return picked
}

// isMaster reports whether svc is the Service of the API server.
func isMaster(svc *v1.Service) bool {
	return svc.Namespace == v1.NamespaceDefault && svc.Name == "kubernetes"
}

func hasClusterIP(svc *v1.Service) bool {
	return svc.Spec.ClusterIP != "" && svc.Spec.ClusterIP != v1.ClusterIPNone
}

// addServiceVariables adds the two kinds of variables: N_SERVICE_… and the older N_PORT_… links.
func addServiceVariables(vars map[string]string, svc *v1.Service) {
	set := func(name, value string) {
		if _, taken := vars[name]; !taken {
			vars[name] = value
		}
	}
	name, ip := variableName(svc.Name), svc.Spec.ClusterIP
	set(name+"_SERVICE_HOST", ip)
	for i, port := range svc.Spec.Ports {
		number := strconv.Itoa(int(port.Port))
		protocol := port.Protocol
		if protocol == "" {
			protocol = v1.ProtocolTCP
		}
		url := strings.ToLower(string(protocol)) + "://" + bracketed(ip) + ":" + number
		if i == 0 {
			set(name+"_SERVICE_PORT", number)
			set(name+"_PORT", url)
		}
		if port.Name != "" {
			set(name+"_SERVICE_PORT_"+variableName(port.Name), number)
		}
		link := name + "_PORT_" + number + "_" + strings.ToUpper(string(protocol))
		set(link, url)
		set(link+"_PROTO", strings.ToLower(string(protocol)))
		set(link+"_PORT", number)
		set(link+"_ADDR", ip)
	}
}

// bracketed gives an address as in a URL.
func bracketed(ip string) string {
	if strings.Contains(ip, ":") {
		return "[" + ip + "]"
	}
	return ip
}

// variableName gives the name of a Service or port as part of a variable's name.
func variableName(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}
