package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func service(namespace, name, ip string, ports ...v1.ServicePort) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1.ServiceSpec{ClusterIP: ip, Ports: ports},
	}
}

func linkedPod(links *bool) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-1", UID: "u-1",
			Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"note/x": "hi"},
		},
		Spec: v1.PodSpec{
			EnableServiceLinks: links, NodeName: "n1", ServiceAccountName: "robot",
			Containers: []v1.Container{{Name: "other", Resources: v1.ResourceRequirements{
				Limits: v1.ResourceList{v1.ResourceMemory: resource.MustParse("100Mi")},
			}}},
		},
	}
}

func TestServiceVariables(t *testing.T) {
	yes, no := true, false
	master := service("default", "kubernetes", "10.0.0.1", v1.ServicePort{Name: "https", Port: 443,
		Protocol: v1.ProtocolTCP})
	masterVars := strings.Fields(`KUBERNETES_PORT=tcp://10.0.0.1:443 KUBERNETES_PORT_443_TCP=tcp://10.0.0.1:443
		KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1 KUBERNETES_PORT_443_TCP_PORT=443 KUBERNETES_PORT_443_TCP_PROTO=tcp
		KUBERNETES_SERVICE_HOST=10.0.0.1 KUBERNETES_SERVICE_PORT=443 KUBERNETES_SERVICE_PORT_HTTPS=443`)
	tests := []struct {
		name     string
		links    *bool
		services []*v1.Service
		want     []string
	}{
		{"nothing", &yes, nil, nil},
		{"the API server's own, links off", &no, []*v1.Service{master, service("shop", "db", "10.0.0.2",
			v1.ServicePort{Port: 1})}, masterVars},
		{"another namespace is not seen", &yes, []*v1.Service{service("bank", "db", "10.0.0.2", v1.ServicePort{Port: 1})},
			nil},
		{"default is another namespace too, except for kubernetes", &yes, []*v1.Service{master, service("default", "db",
			"10.0.0.2", v1.ServicePort{Port: 1})}, masterVars},
		{"headless, ExternalName: none", &yes, []*v1.Service{service("shop", "a", "None", v1.ServicePort{Port: 1}),
			service("shop", "b", "", v1.ServicePort{Port: 1})}, nil},
		{"two ports, one of them UDP and named", &yes, []*v1.Service{service("shop", "my-dns", "10.0.0.3",
			v1.ServicePort{Port: 80}, v1.ServicePort{Name: "dns-udp", Port: 53, Protocol: v1.ProtocolUDP})},
			strings.Fields(`MY_DNS_PORT=tcp://10.0.0.3:80
				MY_DNS_PORT_53_UDP=udp://10.0.0.3:53 MY_DNS_PORT_53_UDP_ADDR=10.0.0.3 MY_DNS_PORT_53_UDP_PORT=53
				MY_DNS_PORT_53_UDP_PROTO=udp
				MY_DNS_PORT_80_TCP=tcp://10.0.0.3:80 MY_DNS_PORT_80_TCP_ADDR=10.0.0.3 MY_DNS_PORT_80_TCP_PORT=80
				MY_DNS_PORT_80_TCP_PROTO=tcp
				MY_DNS_SERVICE_HOST=10.0.0.3 MY_DNS_SERVICE_PORT=80 MY_DNS_SERVICE_PORT_DNS_UDP=53`)},
		{"IPv6 is bracketed in URLs only", &yes, []*v1.Service{service("shop", "six", "fd00::1", v1.ServicePort{Port: 9,
			Protocol: v1.ProtocolSCTP})},
			strings.Fields(`SIX_PORT=sctp://[fd00::1]:9 SIX_PORT_9_SCTP=sctp://[fd00::1]:9 SIX_PORT_9_SCTP_ADDR=fd00::1
				SIX_PORT_9_SCTP_PORT=9 SIX_PORT_9_SCTP_PROTO=sctp SIX_SERVICE_HOST=fd00::1 SIX_SERVICE_PORT=9`)},
		{"an own kubernetes replaces the API server's", &yes, []*v1.Service{service("shop", "kubernetes", "10.0.0.9"),
			master},
			[]string{"KUBERNETES_SERVICE_HOST=10.0.0.9"}},
		{"but not with links off", &no, []*v1.Service{service("shop", "kubernetes", "10.0.0.9"), master}, masterVars},
		{"a name may start with a digit", &yes, []*v1.Service{service("shop", "9p", "10.0.0.9")},
			[]string{"9P_SERVICE_HOST=10.0.0.9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars, err := serviceVariables(linkedPod(tt.links), tt.services)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{}, tt.want...), environment(vars).list()); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := serviceVariables(linkedPod(nil), nil); err == nil {
		t.Error("enableServiceLinks not set: no error")
	}
}

func TestServiceVariablesCollide(t *testing.T) {
	yes := true
	a := service("shop", "x", "10.0.0.1", v1.ServicePort{Port: 1, Name: "service-port"})
	b := service("shop", "x-service-port", "10.0.0.2", v1.ServicePort{Port: 2})
	for range 20 {
		vars, err := serviceVariables(linkedPod(&yes), []*v1.Service{b, a})
		if err != nil || vars["X_SERVICE_PORT_SERVICE_PORT"] != "1" {
			t.Fatalf("X_SERVICE_PORT_SERVICE_PORT = %q, %v; want that of the first name", vars["X_SERVICE_PORT_SERVICE_PORT"],
				err)
		}
	}
}

func inputs() envInputs {
	yes := true
	return envInputs{
		Pod:      linkedPod(&yes),
		Services: []*v1.Service{service("shop", "db", "10.0.0.5")},
		ConfigMaps: map[string]*v1.ConfigMap{
			"conf": {Data: map[string]string{"mode": "fast", "REF": "$(mode)"}},
			"more": {Data: map[string]string{"mode": "slow"}},
		},
		Secrets: map[string]*v1.Secret{"keys": {Data: map[string][]byte{"pass": []byte("s3cret")}}},
		PodIPs:  []string{"127.128.0.9", "fd00::9"},
		HostIPs: []string{"127.0.0.1"},
		Node:    v1.ResourceList{v1.ResourceCPU: resource.MustParse("4")},
	}
}

func variable(name, value string) v1.EnvVar { return v1.EnvVar{Name: name, Value: value} }

func field(name, path string) v1.EnvVar {
	return v1.EnvVar{Name: name, ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}}}
}

func amount(name, of, divisor string) v1.EnvVar {
	ref := &v1.ResourceFieldSelector{Resource: of}
	if divisor != "" {
		ref.Divisor = resource.MustParse(divisor)
	}
	return v1.EnvVar{Name: name, ValueFrom: &v1.EnvVarSource{ResourceFieldRef: ref}}
}

func fromMap(name, object, key string, optional *bool) v1.EnvVar {
	return v1.EnvVar{Name: name, ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{
		LocalObjectReference: v1.LocalObjectReference{Name: object}, Key: key, Optional: optional}}}
}

func fromSecret(name, object, key string, optional *bool) v1.EnvVar {
	return v1.EnvVar{Name: name, ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{
		LocalObjectReference: v1.LocalObjectReference{Name: object}, Key: key, Optional: optional}}}
}

func allOfMap(prefix, object string, optional *bool) v1.EnvFromSource {
	return v1.EnvFromSource{Prefix: prefix, ConfigMapRef: &v1.ConfigMapEnvSource{
		LocalObjectReference: v1.LocalObjectReference{Name: object}, Optional: optional}}
}

func allOfSecret(prefix, object string, optional *bool) v1.EnvFromSource {
	return v1.EnvFromSource{Prefix: prefix, SecretRef: &v1.SecretEnvSource{
		LocalObjectReference: v1.LocalObjectReference{Name: object}, Optional: optional}}
}

func TestBuildEnvironment(t *testing.T) {
	yes := true
	db := "DB_SERVICE_HOST=10.0.0.5"
	limits := v1.ResourceRequirements{
		Limits:   v1.ResourceList{v1.ResourceMemory: resource.MustParse("1500Ki")},
		Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("250m")},
	}
	tests := []struct {
		name string
		c    v1.Container
		want []string
	}{
		{"only Services", v1.Container{}, []string{db}},
		{"an explicit variable wins over a Service's", v1.Container{Env: []v1.EnvVar{variable("DB_SERVICE_HOST", "mine")}},
			[]string{"DB_SERVICE_HOST=mine"}},
		{"empty on purpose", v1.Container{Env: []v1.EnvVar{variable("E", "")}}, []string{db, "E="}},
		{"references: earlier ones and Services, not later ones", v1.Container{Env: []v1.EnvVar{
			variable("A", "1$(C)"), variable("B", "$(A)-$(DB_SERVICE_HOST)"), variable("C", "3")}},
			[]string{"A=1$(C)", "B=1$(C)-10.0.0.5", "C=3", db}},
		{"the same name twice: the later, which sees the earlier", v1.Container{Env: []v1.EnvVar{variable("A", "1"),
			variable("A", "$(A)2")}}, []string{"A=12", db}},
		{"a variable of its own hides a Service's in references", v1.Container{Env: []v1.EnvVar{
			variable("B", "$(DB_SERVICE_HOST)"), variable("DB_SERVICE_HOST", "mine"), variable("C", "$(DB_SERVICE_HOST)")}},
			[]string{"B=10.0.0.5", "C=mine", "DB_SERVICE_HOST=mine"}},
		{"envFrom: later sources win, env wins over both, values as they are", v1.Container{
			EnvFrom: []v1.EnvFromSource{allOfMap("", "conf", nil), allOfMap("", "more", nil), allOfSecret("S_", "keys", nil)},
			Env:     []v1.EnvVar{variable("X", "$(mode)/$(REF)"), variable("S_pass", "no")}},
			[]string{db, "REF=$(mode)", "S_pass=no", "X=slow/$(mode)", "mode=slow"}},
		{"envFrom wins over Services", v1.Container{EnvFrom: []v1.EnvFromSource{allOfMap("DB_SERVICE_HOST_", "conf", nil)}},
			[]string{db, "DB_SERVICE_HOST_REF=$(mode)", "DB_SERVICE_HOST_mode=fast"}},
		{"what is optional and missing is left out", v1.Container{
			EnvFrom: []v1.EnvFromSource{allOfMap("", "nope", &yes), allOfSecret("", "nope", &yes)},
			Env: []v1.EnvVar{fromMap("A", "nope", "k", &yes), fromMap("B", "conf", "k", &yes), fromSecret("C", "nope", "k",
				&yes), fromSecret("D", "keys", "k", &yes)}},
			[]string{db}},
		{"keys", v1.Container{Env: []v1.EnvVar{fromMap("A", "conf", "REF", nil), fromSecret("B", "keys", "pass", nil)}},
			[]string{"A=$(mode)", "B=s3cret", db}},
		{"a value wins over its source", v1.Container{Env: []v1.EnvVar{{Name: "A", Value: "v", ValueFrom: fromMap("", "conf",
			"mode", nil).ValueFrom}}}, []string{"A=v", db}},
		{"fields", v1.Container{Env: []v1.EnvVar{
			field("N", "metadata.name"), field("NS", "metadata.namespace"), field("U", "metadata.uid"),
			field("L", "metadata.labels['app']"), field("L0", "metadata.labels['no']"),
			field("AN", "metadata.annotations['note/x']"),
			field("NODE", "spec.nodeName"), field("SA", "spec.serviceAccountName"),
			field("IP", "status.podIP"), field("IPS", "status.podIPs"), field("H", "status.hostIP"),
			field("HS", "status.hostIPs")}},
			[]string{"AN=hi", db, "H=127.0.0.1", "HS=127.0.0.1", "IP=127.128.0.9", "IPS=127.128.0.9,fd00::9", "L0=", "L=web",
				"N=web-1", "NODE=n1", "NS=shop", "SA=robot", "U=u-1"}},
		{"resources: rounded up, in units of the divisor, limits of the node when there are none",
			v1.Container{Resources: limits, Env: []v1.EnvVar{
				amount("M", "limits.memory", ""), amount("MI", "limits.memory", "1Mi"), amount("C", "requests.cpu", ""),
				amount("CM", "requests.cpu", "1m"),
				amount("CL", "limits.cpu", ""), amount("R", "requests.memory", "")}},
			[]string{"C=1", "CL=4", "CM=250", db, "M=1536000", "MI=2", "R=0"}},
		{"resources of another container", v1.Container{Env: []v1.EnvVar{{Name: "M", ValueFrom: &v1.EnvVarSource{
			ResourceFieldRef: &v1.ResourceFieldSelector{ContainerName: "other", Resource: "limits.memory",
				Divisor: resource.MustParse("1Mi")}}}}},
			[]string{db, "M=100"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env, err := buildEnvironment(inputs(), &tt.c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, env.list()); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBuildEnvironmentRefuses(t *testing.T) {
	tests := []struct {
		name, says string
		c          v1.Container
	}{
		{"no such ConfigMap", `configmap "nope"`, v1.Container{Env: []v1.EnvVar{fromMap("A", "nope", "k", nil)}}},
		{"no such key", `no key "k"`, v1.Container{Env: []v1.EnvVar{fromMap("A", "conf", "k", nil)}}},
		{"no such Secret", `secret "nope"`, v1.Container{Env: []v1.EnvVar{fromSecret("A", "nope", "k", nil)}}},
		{"no such key in the Secret", `no key "k"`, v1.Container{Env: []v1.EnvVar{fromSecret("A", "keys", "k", nil)}}},
		{"envFrom, no such ConfigMap", `configmap "nope"`,
			v1.Container{EnvFrom: []v1.EnvFromSource{allOfMap("", "nope", nil)}}},
		{"envFrom, no such Secret", `secret "nope"`, v1.Container{EnvFrom: []v1.EnvFromSource{allOfSecret("", "nope", nil)}}},
		{"a field that is not supported", `"spec.hostname"`, v1.Container{Env: []v1.EnvVar{field("A", "spec.hostname")}}},
		{"an unclosed subscript", `not supported`, v1.Container{Env: []v1.EnvVar{field("A", "metadata.labels['app")}}},
		{"a resource of no side", `neither`, v1.Container{Env: []v1.EnvVar{amount("A", "cpu", "")}}},
		{"a source of no kind", `no known source`,
			v1.Container{Env: []v1.EnvVar{{Name: "A", ValueFrom: &v1.EnvVarSource{}}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env, err := buildEnvironment(inputs(), &tt.c)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, %v; want an error that says %s", env, err, tt.says)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	c := &v1.Container{
		EnvFrom: []v1.EnvFromSource{allOfMap("", "b", nil), allOfSecret("", "s", nil)},
		Env: []v1.EnvVar{fromMap("X", "a", "k", nil), fromMap("Y", "b", "k", nil), fromSecret("Z", "s", "k", nil),
			variable("W", "w")},
	}
	configMaps, secrets := references(c)
	if !cmp.Equal(configMaps, []string{"a", "b"}) || !cmp.Equal(secrets, []string{"s"}) {
		t.Errorf("references = %v, %v", configMaps, secrets)
	}
}

func TestCommandLine(t *testing.T) {
	c := &v1.Container{Command: []string{"run", "$(A)"}, Args: []string{"$(NOPE)", "$$(A)"}}
	if got, want := expandAll(slices.Concat(c.Command, c.Args), environment{"A": "1"}), []string{"run", "1", "$(NOPE)",
		"$(A)"}; !cmp.Equal(got, want) {
		t.Errorf("command line %q, want %q", got, want)
	}
}
