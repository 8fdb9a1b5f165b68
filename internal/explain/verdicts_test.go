package explain

import (
	"net/netip"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
)

// A colleague's sentence for everything that a Service suffers from; and every Reason occurs somewhere.
func TestVerdicts(t *testing.T) {
	told := map[string]string{}
	ending := func(p *v1.Pod) {
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = new(metav1.Unix(1990, 0)), new(int64)
	}
	for name, tt := range map[string]struct {
		make  func() *scene
		stage string // of the first problem; "": all is well
		says  string
	}{
		"well": {func() *scene { s := newScene(); s.pod("web-1", "10.0.0.1"); return s.controlled().proxied() }, "",
			"All is well: one Pod gets connections."},
		"partly ready": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.pod("web-2", "10.0.0.2", notReady)
			return s.controlled().proxied()
		}, "", "It works: one Pod gets connections, of 2. web-2 does not: it is not ready."},
		"external": {func() *scene {
			return newScene(func(svc *v1.Service) {
				svc.Spec.Type, svc.Spec.ExternalName = v1.ServiceTypeExternalName,
					"db.example"
			})
		}, "", "It only stands for the name db.example"},
		"another case": {func() *scene {
			s := newScene()
			for _, n := range []string{"web-1", "web-2", "web-3"} {
				s.pod(n, "10.0.0.1", labelled("app", "Web"))
			}
			return s.controlled().proxied()
		}, StageSelector, "No endpoints: the selector says app=web, the three Pods say app=Web."},
		"another key": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1", labelled("k8s-app", "web"))
			return s.controlled()
		}, StageSelector, "the selector says app=web, the Pod web-1 says k8s-app=web."},
		"misspelled": {func() *scene {
			s := newScene(func(svc *v1.Service) { svc.Spec.Selector["app"] = "frontend" })
			s.pod("f-1", "10.0.0.1", labelled("app", "fronted"))
			return s.controlled()
		}, StageSelector, "the selector says app=frontend, the Pod f-1 says app=fronted."},
		"one of two labels": {func() *scene {
			s := newScene(func(svc *v1.Service) { svc.Spec.Selector["tier"] = "front" })
			s.pod("web-1", "10.0.0.1")
			return s.controlled()
		}, StageSelector, "the selector says app=web,tier=front, the Pod web-1 says nothing about tier."},
		"another namespace": {func() *scene {
			s := newScene()
			s.pod("other", "10.0.0.1", labelled("app", "db"))
			s.pod("web-1", "10.0.0.1", func(p *v1.Pod) { p.Namespace = "stage" })
			return s.controlled()
		}, StageSelector, "no Pod of namespace shop has the labels app=web; one Pod with them is in namespace stage"},
		"nobody near": {func() *scene {
			s := newScene()
			s.pod("db", "10.0.0.1",
				labelled("app", "db"))
			return s.controlled()
		}, StageSelector,
			"the selector says app=web, but the only Pod of namespace shop does not have these labels."},
		"no Pod at all": {func() *scene { return newScene().controlled() }, StageSelector,
			"there is no Pod in namespace shop."},
		"not ready": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1", notReady, func(p *v1.Pod) {
				p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "c",
					State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
			})
			s.pod("web-2", "10.0.0.2", notReady)
			return s.controlled()
		}, StagePods, "two Pods match the selector, and none gets connections: web-1 and 1 more: it is not ready: " +
			"container c waits (CrashLoopBackOff)."},
		"finished": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1", func(p *v1.Pod) { p.Status.Phase = v1.PodFailed })
			return s.controlled()
		}, StagePods, "web-1 has finished"},
		"no address": {func() *scene {
			s := newScene()
			s.pod("web-1", "", func(p *v1.Pod) { p.Status.PodIPs = nil })
			return s.controlled()
		}, StagePods, "web-1 has no IP address yet"},
		"ending": {func() *scene { s := newScene(); s.pod("web-1", "10.0.0.1", ending); return s.controlled() }, StagePods,
			"web-1 is being deleted"},
		"family": {func() *scene { s := newScene(); s.pod("web-1", "fd00::1"); return s.controlled() }, StagePods,
			"web-1 has no IP address of the Service's family"},
		"named port": {func() *scene {
			s := newScene(func(svc *v1.Service) { svc.Spec.Ports[0].TargetPort = intstr.FromString("http") })
			s.pod("web-1", "10.0.0.1")
			return s.controlled()
		}, StagePods, `Pod web-1 has no container port named "http"; there is "web" (8080)`},
		"published": {func() *scene {
			s := newScene(func(svc *v1.Service) { svc.Spec.PublishNotReadyAddresses = true })
			s.pod("web-1", "10.0.0.1", notReady)
			return s.controlled()
		}, "", "All is well"},
		"nobody wrote": {func() *scene { return newScene(byHand) }, StageAddresses,
			"the Service has no selector, and there are no Endpoints named web."},
		"written": {func() *scene { return handScene("10.9.0.1").controlled().proxied() }, "",
			"All is well: one address gets connections."},
		"not mirrored": {func() *scene { return handScene("10.9.0.1") }, StageSlices,
			"No EndpointSlice lists 10.9.0.1:5432, of its Endpoints"},
		"written, not ready": {func() *scene { s := handScene("10.9.0.1"); unready(s.Endpoints); return s.controlled() },
			StageAddresses, "one address is written, and none as ready."},
		"port names": {func() *scene {
			s := handScene("10.9.0.1")
			s.Endpoints.Subsets[0].Ports[0].Name = "sql"
			return s.controlled()
		}, StageAddresses, `the Service calls it "http", and the addresses have only "sql" (5432)`},
		"port protocols": {func() *scene {
			s := handScene("10.9.0.1")
			s.Endpoints.Subsets[0].Ports[0].Protocol = v1.ProtocolUDP
			return s.controlled()
		}, StageAddresses, `the addresses have only "http" (5432/UDP)`},
		"all wanted are down": {func() *scene {
			s := handScene("10.9.0.1", "10.9.0.2")
			subset := &s.Endpoints.Subsets[0]
			subset.Addresses, subset.NotReadyAddresses = subset.Addresses[:1], subset.Addresses[1:]
			s = found(s, true, false)
			for i, e := range s.Slices[0].Endpoints {
				if e.Addresses[0] == "10.9.0.2" {
					s.Slices[0].Endpoints[i].Conditions = discovery.EndpointConditions{Ready: new(bool)}
				}
			}
			return s
		}, StageAddresses, "No address answers its health check: 10.9.0.1 (connection refused). Connections are sent to " +
			"all of them all the same."},
		"check failed": {func() *scene { return found(handScene("10.9.0.1", "10.9.0.2"), false, false) }, "",
			"It works: one address gets connections, of 2."},
		"all down": {func() *scene { return found(handScene("10.9.0.1"), true, false) }, StageAddresses,
			"No address answers its health check: 10.9.0.1 (connection refused)."},
		"refused": {func() *scene {
			s := found(handScene("10.9.0.1"), false, false)
			s.Service.Annotations[annotations.WhenAllDown] = annotations.Refuse
			return s
		}, StageAddresses,
			"viaduct.dev/when-all-down is refuse"},
		"senseless": {func() *scene {
			s := handScene("10.9.0.1")
			s.Service.Annotations = map[string]string{annotations.HealthCheck: "pcp"}
			return s.controlled()
		}, StageService, `there is no check "pcp"`},
		"followed": {func() *scene {
			s := handScene("10.9.0.1")
			s.Service.Annotations = map[string]string{annotations.Follow: "true"}
			s.Endpoints.Subsets[0].Addresses[0].TargetRef = &v1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "db-0"}
			s.pod("db-0", "10.9.0.7")
			return s
		}, StageSlices, "No EndpointSlice lists 10.9.0.7:5432"},
		"the Pod is gone": {func() *scene {
			s := handScene("10.9.0.1")
			s.Service.Annotations = map[string]string{annotations.Follow: "true"}
			s.Endpoints.Subsets[0].Addresses[0].TargetRef = &v1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "db-0"}
			s.at = map[netip.Addr][]*v1.Pod{netip.MustParseAddr("10.9.0.1"): {{ObjectMeta: metav1.ObjectMeta{Namespace: "shop",
				Name: "other"}}}}
			return s
		}, StageAddresses, "none as ready"},
		"by name": {func() *scene {
			s := newScene(byHand)
			s.Service.Annotations = map[string]string{annotations.Backends: "db.example"}
			members := membership.OfNames(s.Service, []membership.Named{{Addr: netip.MustParseAddr("10.9.0.1")}})
			s.Slices = named(membership.PlanNamed(s.Service, members, nil).Create)
			return s
		}, "", "All is well: one address gets connections."},
		"another's Pod": {func() *scene {
			s := handScene("10.9.0.1").controlled()
			s.at = map[netip.Addr][]*v1.Pod{netip.MustParseAddr("10.9.0.1"): {{ObjectMeta: metav1.ObjectMeta{Namespace: "bank",
				Name: "vault"}}}}
			return s
		}, StageAddresses, "10.9.0.1 is the address of Pod bank/vault, of another namespace (CVE-2021-25740)."},
		"a slice was edited": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().proxied()
			s.Slices[0].Endpoints[0].Addresses[0] = "10.6.6.6"
			s.Slices[0].ManagedFields[0].Manager = "kubectl-edit"
			return s.proxied()
		}, StageSlices, "endpointslice/web-a should not have 10.6.6.6:8080, lacks 10.0.0.1:8080, last written by " +
			"kubectl-edit at 00:25:00"},
		"a slice too many": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled()
			twin := s.Slices[0].DeepCopy()
			twin.Name, twin.Ports = "web-z", nil
			s.Slices = append(s.Slices, twin)
			return s
		}, StageSlices, "endpointslice/web-z should not be there"},
		"no slice": {func() *scene { s := newScene(); s.pod("web-1", "10.0.0.1"); s.controlled().Slices = nil; return s },
			StageSlices, "No EndpointSlice lists 10.0.0.1:8080"},
		"no Endpoints": {func() *scene {
			s := newScene()
			s.pod("web-1",
				"10.0.0.1")
			s.controlled().Endpoints = nil
			return s
		}, StageEndpoints, "There is no Endpoints object web"},
		"Endpoints were edited": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().Endpoints.Subsets[0].Addresses[0].IP = "10.6.6.6"
			return s
		}, StageEndpoints, "endpoints/web should not have 10.6.6.6:8080, lacks 10.0.0.1:8080"},
		"the proxy is behind": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().proxied()
			s.pod("web-2", "10.0.0.2")
			return s.controlled()
		}, StageProxy, "The proxy of node here sends connections from this node to ClusterIP 10.96.0.1:80/TCP to " +
			"10.0.0.1:8080, and should to 10.0.0.1:8080, 10.0.0.2:8080."},
		"the proxy has lost it": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().proxied().Proxy.Frontends = nil
			return s
		}, StageProxy, "The proxy of node here does not serve ClusterIP 10.96.0.1:80/TCP."},
		"the proxy complains": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().proxied().Proxy.Problems = []string{"port taken"}
			return s
		}, StageProxy, "On node here: port taken."},
		"the kernel was changed": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().proxied().Kernel[0].Inside = nil
			return s
		}, StageKernel, "sends connections from this node to ClusterIP 10.96.0.1:80/TCP to nobody, and should to " +
			"10.0.0.1:8080"},
		"the kernel forgot": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().proxied().Kernel = nil
			return s
		}, StageKernel, "The kernel's table does not know ClusterIP 10.96.0.1:80/TCP"},
		"nobody answers": {func() *scene {
			s := newScene(func(svc *v1.Service) { svc.Spec.Ports[0].TargetPort.IntVal = 80 })
			s.pod("web-1", "10.0.0.1")
			s.controlled().Probes = map[netip.AddrPort]string{netip.MustParseAddrPort("10.0.0.1:80"): "connection refused"}
			return s
		}, StageProbe, "No address that gets connections answers: 10.0.0.1:80 (connection refused). Port 80 leads to port " +
			"80 of the Pods, and Pod web-1 declares only 8080."},
		"the controller fails": {func() *scene {
			s := newScene()
			s.pod("web-1", "10.0.0.1")
			s.controlled().LastError = "etcd is full"
			return s
		}, StageEndpoints, "The controller could not write what it should: etcd is full"},
	} {
		t.Run(name, func(t *testing.T) {
			r := tt.make().report()
			for _, p := range r.Pods {
				told[p.Reason] = p.Sentence
			}
			for _, a := range r.Addresses {
				told[a.Reason] = a.Sentence
			}
			stage := ""
			if len(r.Problems) > 0 {
				stage = r.Problems[0].Stage
			}
			if stage != tt.stage || !strings.Contains(r.Verdict, tt.says) || r.Healthy != (tt.stage == "") {
				t.Errorf("stage %q, healthy %v: %s\nwant %q: %s", stage, r.Healthy, r.Verdict, tt.stage, tt.says)
			}
		})
	}
	for _, reason := range membership.Reasons() {
		switch reason {
		case membership.OtherNamespace, membership.NoSelector, membership.External, membership.NotSelected:
			continue // of these, there is no line: the verdict tells
		}
		if !strings.HasPrefix(told[string(reason)], reason.Sentence()) {
			t.Errorf("%s is told as %q", reason, told[string(reason)])
		}
	}
}
