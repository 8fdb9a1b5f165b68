package membership

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func handWritten(subsets ...v1.EndpointSubset) *v1.Endpoints {
	return &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db", UID: "ep-uid"}, Subsets: subsets}
}

func (c *cluster) mirror(t testing.TB, ep *v1.Endpoints) (writes, skipped int) {
	t.Helper()
	before := c.written
	plan, skipped := PlanMirror(ep, c.slices, nil)
	c.apply(t, plan)
	if again, _ := PlanMirror(ep, c.slices, nil); !again.Empty() {
		t.Fatalf("planned again, there is more to write: %+v", again)
	}
	return c.written - before, skipped
}

// spell writes slices down: "family addresses: ports", not ready ones in brackets.
func (c *cluster) spell() string {
	var parts []string
	for _, s := range c.slices {
		text := string(s.AddressType)
		for _, e := range s.Endpoints {
			if *e.Conditions.Ready {
				text += " " + e.Addresses[0]
			} else {
				text += " [" + e.Addresses[0] + "]"
			}
		}
		for _, p := range s.Ports {
			text += fmt.Sprintf(":%s%d", *p.Name, *p.Port)
		}
		parts = append(parts, text)
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func TestMirrored(t *testing.T) {
	selectorless := func(change ...func(*v1.Service)) *v1.Service {
		return web(append(change, func(s *v1.Service) { s.Spec.Selector = nil })...)
	}
	with := func(change func(*v1.Endpoints)) *v1.Endpoints {
		ep := handWritten(byHand(80, []string{"10.0.0.1"}))
		change(ep)
		return ep
	}
	label := func(k, v string) *v1.Endpoints {
		return with(func(ep *v1.Endpoints) { ep.Labels = map[string]string{k: v} })
	}
	tests := []struct {
		name string
		ep   *v1.Endpoints
		svc  *v1.Service
		want bool
	}{
		{"by hand", handWritten(), selectorless(), true},
		{"no endpoints", nil, selectorless(), false},
		{"no service", handWritten(), nil, false},
		{"a service with a selector", handWritten(), web(), false},
		{"headless", handWritten(), selectorless(headless), true},
		{"skipped", label(discovery.LabelSkipMirror, "true"), selectorless(), false},
		{"not skipped", label(discovery.LabelSkipMirror, "false"), selectorless(), true},
		{"of a controller", label(EndpointsManagedByLabel, EndpointsManagedBy), selectorless(), false},
		{"an election", with(func(ep *v1.Endpoints) { ep.Annotations = map[string]string{leaderAnnotation: ""} }),
			selectorless(), false},
		{"ending", with(func(ep *v1.Endpoints) { ep.DeletionTimestamp = &metav1.Time{} }), selectorless(), false},
	}
	for _, tt := range tests {
		if got := Mirrored(tt.ep, tt.svc); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestPlanMirror(t *testing.T) {
	tests := []struct {
		name string
		in   []v1.EndpointSubset
		want string
	}{
		{"nothing", nil, ""},
		{"one", []v1.EndpointSubset{byHand(5432, []string{"10.0.0.1"})}, "IPv4 10.0.0.1:5432"},
		{"ready and not", []v1.EndpointSubset{byHand(5432, []string{"10.0.0.2"}, "10.0.0.1")},
			"IPv4 10.0.0.2 [10.0.0.1]:5432"},
		{"families", []v1.EndpointSubset{byHand(5432, []string{"10.0.0.1", "fd00::1"})},
			"IPv4 10.0.0.1:5432; IPv6 fd00::1:5432"},
		{"ports", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}), byHand(81, []string{"10.0.0.2"})},
			"IPv4 10.0.0.1:80; IPv4 10.0.0.2:81"},
		{"without ports", []v1.EndpointSubset{{Addresses: []v1.EndpointAddress{{IP: "10.0.0.1"}}}}, "IPv4 10.0.0.1"},
		{"spelled twice", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}), byHand(80, []string{"10.0.0.1"})},
			"IPv4 10.0.0.1:80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cluster
			c.mirror(t, handWritten(tt.in...))
			if got := c.spell(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMirrorFollows(t *testing.T) {
	var c cluster
	c.mirror(t, handWritten(byHand(80, []string{"10.0.0.1"})))
	name := c.slices[0].Name
	if n, _ := c.mirror(t, handWritten(byHand(80, []string{"10.0.0.1", "10.0.0.2"}))); n != 1 || c.slices[0].Name != name {
		t.Errorf("one more address: %d writes, slice %s; want one update of %s", n, c.slices[0].Name, name)
	}
	if n, _ := c.mirror(t, handWritten(byHand(81, []string{"10.0.0.1"}))); n != 1 || c.spell() != "IPv4 10.0.0.1:81" {
		t.Errorf("another port: %d writes, %s", n, c.spell())
	}
	if n, _ := c.mirror(t, handWritten()); n != 1 || len(c.slices) != 0 {
		t.Errorf("nothing left: %d writes, %s", n, c.spell())
	}
}

func TestMirrorMetadata(t *testing.T) {
	ep := handWritten(byHand(80, []string{"10.0.0.1"}))
	ep.Labels = map[string]string{"team": "x"}
	ep.Annotations = map[string]string{"note": "y", v1.LastAppliedConfigAnnotation: "{}",
		v1.EndpointsLastChangeTriggerTime: "t"}
	var c cluster
	c.mirror(t, ep)
	s := c.slices[0]
	if want := map[string]string{"team": "x", discovery.LabelServiceName: "db",
		discovery.LabelManagedBy: MirrorManagedBy}; fmt.Sprint(s.Labels) != fmt.Sprint(want) {
		t.Errorf("labels %v, want %v", s.Labels, want)
	}
	if want := map[string]string{"note": "y"}; fmt.Sprint(s.Annotations) != fmt.Sprint(want) {
		t.Errorf("annotations %v, want %v", s.Annotations, want)
	}
	if o := s.OwnerReferences[0]; o.Kind != "Endpoints" || o.UID != "ep-uid" {
		t.Errorf("owner %+v", o)
	}
	if c := s.Endpoints[0].Conditions; c.Serving != nil || c.Terminating != nil {
		t.Errorf("conditions %+v: a person said only whether it is ready", c)
	}
	ep.UID = "another" // deleted and written again
	if n, _ := c.mirror(t, ep); n != 1 || c.slices[0].OwnerReferences[0].UID != "another" {
		t.Errorf("%d writes, owner %v", n, c.slices[0].OwnerReferences)
	}
}

func TestMirrorLimits(t *testing.T) {
	var ready, notReady []string
	for i := range 700 {
		ready = append(ready, fmt.Sprintf("10.2.%d.%d", i/200, i%200+1))
		notReady = append(notReady, fmt.Sprintf("10.1.%d.%d", i/200, i%200+1)) // lower addresses, and yet they come second
	}
	var c cluster
	_, skipped := c.mirror(t, handWritten(byHand(80, ready, notReady...)))
	isReady := 0
	for _, e := range c.slices[0].Endpoints {
		if *e.Conditions.Ready {
			isReady++
		}
	}
	if len(c.slices[0].Endpoints) != MaxMirrored || isReady != 700 || skipped != 400 {
		t.Errorf("%d endpoints, %d of them ready, %d skipped; want %d, 700, 400", len(c.slices[0].Endpoints), isReady,
			skipped, MaxMirrored)
	}
	_, skipped = (&cluster{}).mirror(t, handWritten(byHand(80, []string{"10.0.0.1", "db.example.com"})))
	if skipped != 1 {
		t.Errorf("%d skipped for being no IP address, want 1", skipped)
	}
}
