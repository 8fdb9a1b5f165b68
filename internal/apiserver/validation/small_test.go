package validation

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func meta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: "x", Namespace: namespace, ResourceVersion: "1"}
}

func TestNamespace(t *testing.T) {
	fresh := func() *v1.Namespace { return &v1.Namespace{ObjectMeta: meta("")} }
	finalizers := func(list ...v1.FinalizerName) func(*v1.Namespace) {
		return func(ns *v1.Namespace) { ns.Spec.Finalizers = list }
	}
	rules(t, fresh, DefaultNamespace, ValidateNamespace, []rule[*v1.Namespace]{
		{"valid", finalizers("kubernetes", "example.com/a"), ""},
		{"name with a dot", func(ns *v1.Namespace) { ns.Name = "a.b" }, "Invalid metadata.name"},
		{"in a namespace", func(ns *v1.Namespace) { ns.Namespace = "a" }, "Forbidden metadata.namespace"},
		{"label", func(ns *v1.Namespace) { ns.Labels = map[string]string{"a b": ""} }, "Invalid metadata.labels"},
		{"annotation", func(ns *v1.Namespace) { ns.Annotations = map[string]string{"a b": ""} },
			"Invalid metadata.annotations"},
		{"annotations too large", func(ns *v1.Namespace) {
			ns.Annotations = map[string]string{"a": strings.Repeat("a",
				1<<18)}
		}, "TooLong metadata.annotations"},
		{"finalizer without a domain", finalizers("a"), "Invalid spec.finalizers"},
		{"finalizer, malformed", finalizers("a b/c"), "Invalid spec.finalizers"},
		{"object finalizers", func(ns *v1.Namespace) {
			ns.Finalizers = []string{"kubernetes", "orphan", "example.com/a"}
		}, ""},
		{"object finalizer without a domain", func(ns *v1.Namespace) { ns.Finalizers = []string{"a"} },
			"Invalid metadata.finalizers[0]"},
		{"object finalizer, malformed", func(ns *v1.Namespace) { ns.Finalizers = []string{"a b/c"} },
			"Invalid metadata.finalizers"},
		{"object finalizers that contradict", func(ns *v1.Namespace) {
			ns.Finalizers = []string{"orphan",
				"foregroundDeletion"}
		}, "Invalid metadata.finalizers"},
	})
	changes(t, fresh, DefaultNamespace, ValidateNamespaceUpdate, []change[*v1.Namespace]{
		{"labels", nil, func(ns *v1.Namespace) { ns.Labels["a"] = "b" }, ""},
		{"name", nil, func(ns *v1.Namespace) { ns.Name = "b" }, "Invalid metadata.name"},
		{"object finalizer", nil, func(ns *v1.Namespace) { ns.Finalizers = []string{"a"} }, "Invalid metadata.finalizers[0]"},
	})
	ending := func(ns *v1.Namespace) { ns.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
	changes(t, fresh, DefaultNamespace, ValidateNamespaceStatusUpdate, []change[*v1.Namespace]{
		{"active", nil, nil, ""},
		{"ending before it is deleted", nil, func(ns *v1.Namespace) { ns.Status.Phase = v1.NamespaceTerminating },
			"Invalid status.Phase"},
		{"deleted, and active", ending, nil, "Invalid status.Phase"},
		{"deleted, and ending", ending, func(ns *v1.Namespace) { ns.Status.Phase = v1.NamespaceTerminating }, ""},
		{"name", nil, func(ns *v1.Namespace) { ns.Name = "b" }, "Invalid metadata.name"},
	})
	changes(t, fresh, DefaultNamespace, ValidateNamespaceFinalizeUpdate, []change[*v1.Namespace]{
		{"done", finalizers("kubernetes"), finalizers(), ""},
		{"another", nil, finalizers("kubernetes", "example.com/a"), ""},
		{"without a domain", nil, finalizers("kubernetes", "a"), "Invalid spec.finalizers[1]"},
		{"malformed", nil, finalizers("a b/c"), "Invalid spec.finalizers[0]"},
	})
	ns := &v1.Namespace{}
	DefaultNamespace(ns)
	if ns.Labels != nil || ns.Status.Phase != v1.NamespaceActive {
		t.Errorf("a namespace to be named later: %+v", ns)
	}
	ns = fresh()
	DefaultNamespace(ns)
	if ns.Labels["kubernetes.io/metadata.name"] != "x" {
		t.Errorf("labels %v, want the name among them", ns.Labels)
	}
}

func TestServiceAccount(t *testing.T) {
	fresh := func() *v1.ServiceAccount { return &v1.ServiceAccount{ObjectMeta: meta("a")} }
	rules(t, fresh, nil, ValidateServiceAccount, []rule[*v1.ServiceAccount]{
		{"valid", nil, ""},
		{"name", func(a *v1.ServiceAccount) { a.Name = "A" }, "Invalid metadata.name"},
	})
	changes(t, fresh, nil, ValidateServiceAccountUpdate, []change[*v1.ServiceAccount]{
		{"uid", func(a *v1.ServiceAccount) { a.UID = "1" }, func(a *v1.ServiceAccount) { a.UID = "2" },
			"Invalid metadata.uid"},
	})
}

func TestLease(t *testing.T) {
	type lease = coordinationv1.Lease
	fresh := func() *lease { return &lease{ObjectMeta: meta("a")} }
	validate := []rule[*lease]{
		{"valid", func(l *lease) { l.Spec.LeaseDurationSeconds, l.Spec.HolderIdentity = ptr[int32](40), ptr("n") }, ""},
		{"no time", func(l *lease) { l.Spec.LeaseDurationSeconds = ptr[int32](0) }, "Invalid spec.leaseDurationSeconds"},
		{"negative transitions", func(l *lease) { l.Spec.LeaseTransitions = ptr[int32](-1) },
			"Invalid spec.leaseTransitions"},
		{"strategy", func(l *lease) { l.Spec.Strategy = ptr(coordinationv1.OldestEmulationVersion) }, ""},
		{"custom strategy",
			func(l *lease) { l.Spec.Strategy = ptr(coordinationv1.CoordinatedLeaseStrategy("example.com/a")) }, ""},
		{"unknown strategy", func(l *lease) { l.Spec.Strategy = ptr(coordinationv1.CoordinatedLeaseStrategy("a")) },
			"NotSupported spec.strategy.strategy"},
		{"malformed strategy", func(l *lease) { l.Spec.Strategy = ptr(coordinationv1.CoordinatedLeaseStrategy("a b/c")) },
			"Invalid spec.strategy.strategy"},
		{"preferred holder by a strategy", func(l *lease) {
			l.Spec.PreferredHolder, l.Spec.Strategy = ptr("a"), ptr(coordinationv1.OldestEmulationVersion)
		}, ""},
		{"preferred holder", func(l *lease) { l.Spec.PreferredHolder = ptr("a") }, "Forbidden spec.preferredHolder"},
	}
	rules(t, fresh, nil, ValidateLease, append(validate, rule[*lease]{"name", func(l *lease) { l.Name = "A" },
		"Invalid metadata.name"}))
	for _, row := range validate {
		changes(t, fresh, nil, ValidateLeaseUpdate, []change[*lease]{{"to " + row.name, nil, row.build, row.want}})
	}
}

func TestConfigMap(t *testing.T) {
	fresh := func() *v1.ConfigMap {
		return &v1.ConfigMap{ObjectMeta: meta("a"), Data: map[string]string{"a.txt": "1"},
			BinaryData: map[string][]byte{"b": {2}}}
	}
	frozen := func(c *v1.ConfigMap) { c.Immutable = ptr(true) }
	rules(t, fresh, nil, ValidateConfigMap, []rule[*v1.ConfigMap]{
		{"valid", nil, ""},
		{"name", func(c *v1.ConfigMap) { c.Name = "A" }, "Invalid metadata.name"},
		{"key", func(c *v1.ConfigMap) { c.Data["a b"] = "" }, "Invalid data[a b]"},
		{"binary key", func(c *v1.ConfigMap) { c.BinaryData[".."] = nil }, "Invalid binaryData[..]"},
		{"key in both", func(c *v1.ConfigMap) { c.Data["b"] = "" }, "Invalid data[b]"},
		{"too large", func(c *v1.ConfigMap) { c.Data["c"] = strings.Repeat("c", 1<<20) }, "TooLong []"},
		{"just not too large", func(c *v1.ConfigMap) { c.Data["c"] = strings.Repeat("c", 1<<20-2) }, ""},
	})
	changes(t, fresh, nil, ValidateConfigMapUpdate, []change[*v1.ConfigMap]{
		{"data", nil, func(c *v1.ConfigMap) { c.Data["a.txt"] = "2" }, ""},
		{"key", nil, func(c *v1.ConfigMap) { c.Data["a b"] = "" }, "Invalid data[a b]"},
		{"immutable, labels", frozen, func(c *v1.ConfigMap) { c.Labels = map[string]string{"a": "b"} }, ""},
		{"immutable, no more", frozen, func(c *v1.ConfigMap) { c.Immutable = nil }, "Forbidden immutable"},
		{"immutable, data", frozen, func(c *v1.ConfigMap) { c.Data["a.txt"] = "2" }, "Forbidden data"},
		{"immutable, binary data", frozen, func(c *v1.ConfigMap) { c.BinaryData = nil }, "Forbidden binaryData"},
	})
}

func TestSecret(t *testing.T) {
	fresh := func() *v1.Secret {
		return &v1.Secret{ObjectMeta: meta("a"), Data: map[string][]byte{"a": {1}}}
	}
	of := func(kind v1.SecretType, keys ...string) func(*v1.Secret) {
		return func(s *v1.Secret) {
			s.Type = kind
			for _, key := range keys {
				s.Data[key] = []byte("{}")
			}
		}
	}
	frozen := func(s *v1.Secret) { s.Immutable = ptr(true) }
	rules(t, fresh, DefaultSecret, ValidateSecret, []rule[*v1.Secret]{
		{"valid", nil, ""},
		{"any type", of("example.com/any"), ""},
		{"name", func(s *v1.Secret) { s.Name = "A" }, "Invalid metadata.name"},
		{"key", func(s *v1.Secret) { s.Data["a b"] = nil }, "Invalid data[a b]"},
		{"too large", func(s *v1.Secret) { s.Data["c"] = make([]byte, 1<<20) }, "TooLong data"},
		{"token", of(v1.SecretTypeServiceAccountToken), "Required metadata.annotations[kubernetes.io/service-account.name]"},
		{"token of someone", func(s *v1.Secret) {
			s.Type, s.Annotations = v1.SecretTypeServiceAccountToken, map[string]string{v1.ServiceAccountNameKey: "robot"}
		}, ""},
		{"docker, older", of(v1.SecretTypeDockercfg), "Required data[.dockercfg]"},
		{"docker", of(v1.SecretTypeDockerConfigJson, v1.DockerConfigJsonKey), ""},
		{"docker, malformed",
			func(s *v1.Secret) { of(v1.SecretTypeDockerConfigJson)(s); s.Data[v1.DockerConfigJsonKey] = []byte("{") },
			"Invalid data[.dockerconfigjson]"},
		{"basic", of(v1.SecretTypeBasicAuth), "Required data[username]\nRequired data[password]"},
		{"basic with one", of(v1.SecretTypeBasicAuth, "password"), ""},
		{"ssh", of(v1.SecretTypeSSHAuth), "Required data[ssh-privatekey]"},
		{"ssh with a key", of(v1.SecretTypeSSHAuth, v1.SSHAuthPrivateKey), ""},
		{"tls", of(v1.SecretTypeTLS), "Required data[tls.crt]\nRequired data[tls.key]"},
		{"tls with both", of(v1.SecretTypeTLS, "tls.crt", "tls.key"), ""},
	})
	changes(t, fresh, DefaultSecret, ValidateSecretUpdate, []change[*v1.Secret]{
		{"data", nil, func(s *v1.Secret) { s.Data["a"] = nil }, ""},
		{"type", nil, of("b"), "Invalid type"},
		{"immutable, no more", frozen, func(s *v1.Secret) { s.Immutable = ptr(false) }, "Forbidden immutable"},
		{"immutable, data", frozen, func(s *v1.Secret) { s.Data["b"] = nil }, "Forbidden data"},
	})
	secret := fresh()
	DefaultSecret(secret)
	if secret.Type != v1.SecretTypeOpaque {
		t.Errorf("type %q, want Opaque", secret.Type)
	}
}

// TestSecretsStaySecret: an error must not repeat what it complains of.
func TestSecretsStaySecret(t *testing.T) {
	secret := &v1.Secret{ObjectMeta: meta("a"), Type: v1.SecretTypeDockercfg,
		Data: map[string][]byte{v1.DockerConfigKey: []byte("hunter2")}}
	errs := ValidateSecret(secret)
	expect(t, errs, "Invalid data[.dockercfg]")
	if text := errs.ToAggregate().Error(); strings.Contains(text, "hunter2") {
		t.Error("the error repeats the secret:", text)
	}
}

func TestErrorsHaveOneOrder(t *testing.T) {
	cm := &v1.ConfigMap{ObjectMeta: meta("a"), Data: map[string]string{"a b": "", "c d": "", "e f": "", "g h": ""}}
	text := func(errs field.ErrorList) string { return errs.ToAggregate().Error() }
	want := text(ValidateConfigMap(cm))
	for range 20 {
		if got := text(ValidateConfigMap(cm)); got != want {
			t.Fatalf("one time\n%s\nanother time\n%s", want, got)
		}
	}
}
