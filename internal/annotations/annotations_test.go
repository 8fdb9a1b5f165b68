package annotations

import (
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestParseCheck(t *testing.T) {
	second := time.Second
	for _, tt := range []struct {
		value string
		want  Check
	}{
		{"tcp", Check{Kind: TCP, Interval: 2 * second, Timeout: 400 * time.Millisecond, Rise: 2, Fall: 2}},
		{"tcp://:5432", Check{Kind: TCP, Port: 5432, Interval: 2 * second, Timeout: 400 * time.Millisecond, Rise: 2,
			Fall: 2}},
		{" tcp  port=5432 interval=100ms fall=1", Check{Kind: TCP, Port: 5432, Interval: 100 * time.Millisecond,
			Timeout: 100 * time.Millisecond, Rise: 2, Fall: 1}},
		{"http:///healthz", Check{Kind: HTTP, Path: "/healthz", Status: "200-399", Interval: 2 * second, Timeout: second,
			Rise: 2, Fall: 2}},
		{"http", Check{Kind: HTTP, Path: "/", Status: "200-399", Interval: 2 * second, Timeout: second, Rise: 2, Fall: 2}},
		{"https://shop.example:8443/a?b=c status=204,301-302 tls-name=shop.example timeout=2s", Check{
			Kind: HTTPS, Port: 8443, Path: "/a?b=c", Host: "shop.example", TLSName: "shop.example", Status: "204,301-302",
			Interval: 2 * second, Timeout: 2 * second, Rise: 2, Fall: 2,
		}},
		{"grpc service=cart rise=5", Check{Kind: GRPC, Service: "cart", Interval: 2 * second, Timeout: second, Rise: 5,
			Fall: 2}},
		{"dns:///example.org", Check{Kind: DNS, Name: "example.org", Interval: 2 * second, Timeout: 400 * time.Millisecond,
			Rise: 2, Fall: 2}},
	} {
		c, err := ParseCheck(tt.value)
		if err != nil || *c != tt.want {
			t.Errorf("%q: %+v, %v; want %+v", tt.value, c, err, tt.want)
			continue
		}
		if again, err := ParseCheck(c.String()); err != nil || *again != *c {
			t.Errorf("%q is spelled %q, which is %+v, %v", tt.value, c.String(), again, err)
		}
	}
}

func TestParseCheckRefuses(t *testing.T) {
	for value, says := range map[string]string{
		"":                              "must not be empty",
		"ping":                          `there is no check "ping"`,
		"exec":                          `there is no check "exec"`,
		"tcp 5432":                      "key=value",
		"tcp path=/":                    `has no setting "path"; it has port, interval, timeout, rise, fall`,
		"tcp status=200":                "has no setting",
		"tcp://db.example:5432":         "neither host nor path",
		"http://user:pw@x/":             "must be a URL",
		"http://x:port/":                "must be a URL",
		"http://x:0/":                   "port \"0\"",
		"tcp://:1 port=2":               "port is said twice",
		"tcp port=1 port=1":             "port is said twice",
		"tcp port=65536":                "from 1 to 65535",
		"tcp interval=1":                "must be a time from 100ms to 1h0m0s",
		"tcp interval=1ms":              "must be a time",
		"tcp timeout=3s":                "must not be longer than interval",
		"tcp rise=0":                    "rise \"0\" must be a number from 1 to 100",
		"tcp fall=many":                 "fall",
		"tcp fall=":                     "must not be empty",
		"http:/// status=600":           "from 100 to 599",
		"http:/// status=300-200":       "from 100 to 599",
		"http:/// tls-name=shop.exampl": "has no setting",
	} {
		if c, err := ParseCheck(value); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %+v, %v; want an error with %q", value, c, err, says)
		}
	}
}

func FuzzParseCheck(f *testing.F) {
	for _, seed := range []string{"tcp", "http://h:1/p?q status=200", "https:/// tls-name=x", "dns name=a port=53",
		"grpc://:1/s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := ParseCheck(value)
		if err != nil {
			return
		}
		if c.Timeout > c.Interval || c.Rise < 1 || c.Fall < 1 {
			t.Errorf("%q is %+v", value, c)
		}
	})
}

func TestExpects(t *testing.T) {
	c := Check{Status: "200-299,401"}
	for status, want := range map[int]bool{199: false, 200: true, 299: true, 300: false, 401: true, 402: false} {
		if c.Expects(status) != want {
			t.Errorf("status %d: %v, want %v", status, !want, want)
		}
	}
}

func TestParseBackends(t *testing.T) {
	list, err := ParseBackends("DB.example.internal.:5432, 10.0.0.7,[fd00::1]:53,fd00::2, _pg._tcp.example.org, " +
		"db.example.internal:5432")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, b := range list {
		words = append(words, b.String())
	}
	if got := strings.Join(words, " "); got != "10.0.0.7 _pg._tcp.example.org db.example.internal:5432 [fd00::1]:53 "+
		"fd00::2" {
		t.Errorf("read %s", got)
	}
	for value, says := range map[string]string{
		"":                              "must be a list",
		"a.example,,b.example":          "must be a list",
		"a.example:http":                "port of",
		"a.example:0":                   "port of",
		"a b":                           "must be a name",
		"_pg.example.org":               "_service._protocol.name",
		"_pg._tcp.a.org:1":              "must not have a port",
		"-x.example":                    "must be a name",
		strings.Repeat("a.example,", 1): "must be a list",
	} {
		if got, err := ParseBackends(value); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v; want an error with %q", value, got, err, says)
		}
	}
}

func TestOfService(t *testing.T) {
	port := func(target intstr.IntOrString) v1.ServicePort {
		return v1.ServicePort{Name: target.String(), Port: 80, TargetPort: target}
	}
	one, two, named := []v1.ServicePort{port(intstr.FromInt32(1))}, []v1.ServicePort{port(intstr.FromInt32(1)),
		port(intstr.FromInt32(2))}, []v1.ServicePort{port(intstr.FromString("web"))}
	for _, tt := range []struct {
		key, value string
		ports      []v1.ServicePort
		selector   map[string]string
		says       string // "": it is taken
	}{
		{HealthCheck, "tcp", one, nil, ""},
		{HealthCheck, "tcp", one, map[string]string{"app": "web"}, "may only be set on a Service without a selector"},
		{HealthCheck, "pcp", one, nil,
			`metadata.annotations[viaduct.dev/health-check]: Invalid value: "pcp": there is no check`},
		{"viaduct.dev/healthcheck", "tcp", one, nil, "viaduct.dev/health-check may be meant"},
		{"viaduct.dev/backend", "a.example", one, nil, "viaduct.dev/backends may be meant"},
		{Shadows, "x", one, nil, "no such annotation"},
		{"example.org/backend", "!", one, nil, ""},
		{WhenAllDown, "refuse", one, nil, ""},
		{WhenAllDown, "drop", one, nil, "must be use-all or refuse"},
		{Follow, "yes", one, nil, `must be "true" or "false"`},
		{Backends, "a.example:80", one, nil, ""},
		{Backends, "a.example", two, nil, ""},
		{Backends, "a.example:80", two, nil, "does not have exactly one"},
		{Backends, "_a._tcp.example", two, nil, "does not have exactly one"},
		{Backends, "a.example", named, nil, "must say its port"},
		{Backends, "a.example:80", named, nil, ""},
	} {
		svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{tt.key: tt.value}},
			Spec: v1.ServiceSpec{Ports: tt.ports, Selector: tt.selector}}
		w, errs := OfService(svc)
		if err := errs.ToAggregate(); (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(),
			tt.says) {
			t.Errorf("%s: %s: %v, want %q", tt.key, tt.value, err, tt.says)
		}
		if tt.says != "" && (w.Check != nil || w.Backends != nil || w.AllDown != "" || w.Follow) {
			t.Errorf("%s: %s is refused, and still asks for %+v", tt.key, tt.value, w)
		}
	}
}

func TestOr(t *testing.T) {
	read := func(annotations map[string]string) Settings {
		w, errs := OfEndpoints(&v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Annotations: annotations}})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return w
	}
	svc := read(map[string]string{Follow: "false", WhenAllDown: Refuse})
	w := svc.Or(read(map[string]string{Follow: "true", WhenAllDown: UseAll, HealthCheck: "tcp"}))
	if w.Follow || w.AllDown != Refuse || w.Check == nil {
		t.Errorf("together they ask for %+v", w)
	}
}
