package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// maxHostname is the maximum length of a host name in bytes: that of a DNS label, and of the Linux kernel.
const maxHostname = 63

// clusterDomain is the default domain of Kubernetes clusters.
const clusterDomain = "cluster.local"

// hostnameOf is the host name in the Pod.
func hostnameOf(pod *v1.Pod) string {
	name := pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	return strings.TrimRight(name[:min(len(name), maxHostname)], "-.")
}

// hostsFile is the Pod's /etc/hosts.
func hostsFile(pod *v1.Pod, ips []netip.Addr) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	names := hostnameOf(pod)
	if pod.Spec.Subdomain != "" {
		names = fmt.Sprintf("%s.%s.%s.svc.%s\t%s", names, pod.Spec.Subdomain, pod.Namespace, clusterDomain, names)
	}
	for _, ip := range ips {
		fmt.Fprintf(&b, "%s\t%s\n", ip, names)
	}
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&b, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	return b.String()
}

// resolvConf is the Pod's /etc/resolv.conf: that of the host, without name servers that only the host itself can reach,
// and the additions of spec.dnsConfig. With dnsPolicy None it holds only the latter.
func resolvConf(pod *v1.Pod, host string) string {
	r := resolver{}
	if pod.Spec.DNSPolicy != v1.DNSNone {
		r = readResolver(host)
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.servers = append(r.servers, c.Nameservers...)
		r.searches = append(r.searches, c.Searches...)
		for _, o := range c.Options {
			r.option(o)
		}
	}
	return r.text()
}

// A resolver holds the settings of a resolv.conf, see resolv.conf(5).
type resolver struct {
	servers, searches, options []string
}

func readResolver(text string) (r resolver) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil && !a.IsLoopback() {
				r.servers = append(r.servers, words[1])
			}
		case "search", "domain":
			r.searches = slices.Clone(words[1:])
		case "options":
			r.options = append(r.options, words[1:]...)
		}
	}
	return r
}

// option sets an option, and replaces one of the same name.
func (r *resolver) option(o v1.PodDNSConfigOption) {
	text := o.Name
	if o.Value != nil {
		text += ":" + *o.Value
	}
	same := func(have string) bool { return strings.SplitN(have, ":", 2)[0] == o.Name }
	r.options = append(slices.DeleteFunc(r.options, same), text)
}

func (r resolver) text() string {
	var b strings.Builder
	for _, s := range r.servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(r.searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.searches, " "))
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.options, " "))
	}
	return b.String()
}
