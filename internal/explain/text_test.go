package explain

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/routing"
)

// What the proxy does is told for every reason that there is.
func TestEveryPoolReasonIsTold(t *testing.T) {
	for _, why := range routing.Reasons() {
		pool := routing.Pool{Why: why, Empty: routing.Drop}
		if text := poolText(pool); !strings.Contains(text, why.Sentence()) {
			t.Errorf("%s, empty: %s", why, text)
		}
		pool.Backends = []routing.Backend{{Addr: netip.MustParseAddrPort("10.0.0.1:80")}}
		if text := poolText(pool); !strings.HasPrefix(text, "10.0.0.1:80") || strings.Contains(text,
			why.Sentence()) == (why == routing.All) {
			t.Errorf("%s: %s", why, text)
		}
	}
}

func TestPod(t *testing.T) {
	web := newScene().Service
	upper := newScene(func(svc *v1.Service) {
		svc.Name, svc.Spec.Selector = "upper",
			map[string]string{"app": "Web"}
	}).Service
	s := newScene()
	for _, tt := range []struct {
		pod      *v1.Pod
		services []*v1.Service
		healthy  bool
		says     string
	}{
		{s.pod("a", "10.0.0.1"), []*v1.Service{upper, web}, true, "It gets connections by service web."},
		{s.pod("b", "10.0.0.1", notReady), []*v1.Service{upper, web}, false, "It gets no connections, not by service web: " +
			"it is not ready."},
		{s.pod("c", "10.0.0.1"), []*v1.Service{upper}, false, "It gets no connections, not by service upper: it does not " +
			"match: the selector says app=Web, the Pod says app=web."},
		{s.pod("d", "10.0.0.1", labelled("x", "y")), []*v1.Service{web}, false,
			"no Service of namespace shop selects it, nor nearly."},
	} {
		if r := Pod(tt.pod, tt.services); r.Healthy != tt.healthy || !strings.Contains(r.Verdict, tt.says) {
			t.Errorf("%s: %s, want %s", tt.pod.Name, r.Verdict, tt.says)
		}
	}
}

func TestText(t *testing.T) {
	s := newScene()
	s.pod("web-1", "10.0.0.1")
	s.pod("web-2", "10.0.0.2", notReady)
	s.pod("stray", "10.0.0.3", labelled("app", "Web"))
	s.controlled().proxied()
	s.Probes = map[netip.AddrPort]string{netip.MustParseAddrPort("10.0.0.1:8080"): ""}
	var b strings.Builder
	s.report().Write(&b, s.Now)
	const want = `service/web in namespace shop
  type ClusterIP, 10.96.0.1
  port "http" 80/TCP → 8080
  selector app=web

Pods that the selector selects
  POD     LISTED   READY   REASON     SINCE   IN WORDS
  web-1   yes      yes     Ready      16m     it is ready
  web-2   yes      no      NotReady   16m     it is not ready

Pods that it nearly selects
  POD     SAYS
  stray   app=Web

Endpoints and EndpointSlices
  OBJECT                READY   NOT READY   KEPT BY                           WRITER    WRITTEN   STATE
  endpoints/web         1       1           the endpoints controller          -         -         as it should be
  endpointslice/web-a   1       1           endpointslice-controller.k8s.io   viaduct   8m20s     as it should be

Proxy of node here, nftables, applied 10s ago
  PLACE                        FROM THIS NODE   FROM ELSEWHERE
  ClusterIP 10.96.0.1:80/TCP   10.0.0.1:8080    the same

Asked just now
  10.0.0.1:8080   answers

It works: one Pod gets connections, of 2. web-2 does not: it is not ready.
`
	if got := b.String(); got != want {
		t.Errorf("it says:\n%s", got)
	}
}

// What a Service says of itself begins its story.
func TestAbout(t *testing.T) {
	for says, change := range map[string]func(*v1.Service){
		"selector app=web": func(*v1.Service) {},
		"no selector: its addresses are written by hand": func(svc *v1.Service) { svc.Spec.Selector = nil },
		"no selector: its addresses are what the names of viaduct.dev/backends stand for": func(svc *v1.Service) {
			svc.Spec.Selector, svc.Annotations = nil, map[string]string{annotations.Backends: "db.example"}
		},
		"type ExternalName, db.example": func(svc *v1.Service) {
			svc.Spec.Selector, svc.Spec.Type, svc.Spec.ExternalName = nil, v1.ServiceTypeExternalName, "db.example"
		},
		"type ClusterIP, headless: names lead straight to the endpoints": func(
			svc *v1.Service) {
			svc.Spec.ClusterIP = v1.ClusterIPNone
		},
	} {
		if lines := about(newScene(change).Service); !slices.Contains(lines, says) {
			t.Errorf("%q is not said: %q", says, lines)
		}
	}
}
