package validation

import (
	"encoding/json"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// storable is an object with metadata.
type storable interface {
	runtime.Object
	metav1.Object
}

// rulesOf are the functions that a kind of object passes on its way to the store.
type rulesOf[T storable] struct {
	empty   func() T
	fill    func(T) // may be nil
	check   func(T) field.ErrorList
	updates []func(now, old T) field.ErrorList // of the object, and of its status
	warn    []func(now, old T) []string
}

// fuzz decodes what the fuzzer makes as a client's JSON, and holds what must be true of any object: nothing panics;
// defaulting twice is defaulting once; validation and warnings change nothing; an object that is valid remains so when
// it is defaulted again, and may be sent again unchanged.
func fuzz[T storable](f *testing.F, rules rulesOf[T], seeds ...T) {
	for _, seed := range seeds {
		text, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		obj := rules.empty()
		if json.Unmarshal(text, obj) != nil {
			t.Skip("no JSON of this type")
		}
		obj.SetResourceVersion("1") // as whatever is stored has one
		apply(rules.fill, obj)
		once := obj.DeepCopyObject().(T)
		valid := len(rules.check(obj)) == 0
		unchanged(t, "validation", once, obj)
		apply(rules.fill, obj)
		unchanged(t, "defaulting again", once, obj)
		if errs := rules.check(obj); valid && len(errs) > 0 {
			t.Fatal("valid before, now:", errs.ToAggregate())
		}
		again := obj.DeepCopyObject().(T)
		for _, update := range rules.updates {
			if errs := update(again, obj); valid && len(errs) > 0 {
				t.Fatal("valid, but not when it is sent again unchanged:", errs.ToAggregate())
			}
			for _, seed := range seeds {
				update(again, seed)
				update(seed, again)
			}
		}
		for _, warn := range rules.warn {
			var none T
			warn(again, none)
			warn(again, obj)
		}
		unchanged(t, "validation of an update, or warnings,", once, again)
	})
}

func unchanged[T any](t *testing.T, by string, before, after T) {
	t.Helper()
	if !apiequality.Semantic.DeepEqual(before, after) {
		t.Fatalf("%s changed the object:\n%+v\n%+v", by, before, after)
	}
}

func FuzzService(f *testing.F) {
	local := validService()
	localBalanced(local)
	local.Spec.SessionAffinity = v1.ServiceAffinityClientIP
	named := &v1.Service{ObjectMeta: local.ObjectMeta}
	externalNameService(named)
	fuzz(f, rulesOf[*v1.Service]{
		empty: func() *v1.Service { return &v1.Service{} },
		fill:  func(svc *v1.Service) { DefaultService(svc); DefaultServiceOnRead(svc) },
		check: validateService,
		updates: []func(now, old *v1.Service) field.ErrorList{
			func(now, old *v1.Service) field.ErrorList { return ValidateServiceUpdate(now, old) },
		},
		warn: []func(now, old *v1.Service) []string{ServiceWarnings, ServiceStatusWarnings},
	}, local, named, validService())
}

// FuzzServiceSteps goes through what the allocation does between defaulting and validation: whatever is sent over
// whatever is there.
func FuzzServiceSteps(f *testing.F) {
	local := validService()
	localBalanced(local)
	for _, seed := range []*v1.Service{validService(), local} {
		text, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, sent, stored []byte) {
		svc, old := &v1.Service{}, &v1.Service{}
		if json.Unmarshal(sent, svc) != nil || json.Unmarshal(stored, old) != nil {
			t.Skip("no JSON of this type")
		}
		DefaultService(svc)
		DefaultService(old)
		DefaultServiceOnRead(old)
		created := svc.DeepCopy()
		PrepareServiceCreate(created)
		InitIPFamilies(created, nil, []v1.IPFamily{v1.IPv6Protocol})
		before := old.DeepCopy()
		PrepareServiceUpdate(svc, old)
		once := svc.DeepCopy()
		PrepareServiceUpdate(svc, old)
		unchanged(t, "preparing again", once, svc)
		InitIPFamilies(svc, old, []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol})
		ValidateServiceUpdate(svc, old)
		ValidateServiceStatusUpdate(svc, old)
		unchanged(t, "an update's steps", before, old)
	})
}

func FuzzEndpoints(f *testing.F) {
	fuzz(f, rulesOf[*v1.Endpoints]{
		empty: func() *v1.Endpoints { return &v1.Endpoints{} }, fill: DefaultEndpoints, check: validateEndpoints,
		updates: []func(now, old *v1.Endpoints) field.ErrorList{
			func(now, old *v1.Endpoints) field.ErrorList { return ValidateEndpointsUpdate(now, old, Options{}) },
		},
		warn: []func(now, old *v1.Endpoints) []string{EndpointsWarnings},
	}, validEndpoints())
}

func FuzzEndpointSlice(f *testing.F) {
	type slice = discoveryv1.EndpointSlice
	six := validSlice()
	six.AddressType, six.Endpoints[0].Addresses = discoveryv1.AddressTypeIPv6, []string{"2001:db8::1"}
	six.Endpoints[0].Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "a"}}}
	fuzz(f, rulesOf[*slice]{
		empty: func() *slice { return &slice{} }, fill: DefaultEndpointSlice,
		check: func(s *slice) field.ErrorList { return ValidateEndpointSlice(s, Options{}) },
		updates: []func(now, old *slice) field.ErrorList{
			func(now, old *slice) field.ErrorList { return ValidateEndpointSliceUpdate(now, old, Options{}) },
		},
		warn: []func(now, old *slice) []string{EndpointSliceWarnings},
	}, validSlice(), six)
}

func FuzzPod(f *testing.F) {
	busy := validPod()
	c := &busy.Spec.Containers[0]
	c.Ports = []v1.ContainerPort{{Name: "http", ContainerPort: 80}}
	c.Env = []v1.EnvVar{{Name: "IP",
		ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels['a']"}}}}
	c.LivenessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{}}}
	c.Resources.Limits = amounts("cpu", "1", "hugepages-2Mi", "4Mi")
	c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
	busy.Spec.Volumes[0].ConfigMap = &v1.ConfigMapVolumeSource{Items: []v1.KeyToPath{{Key: "a", Path: "b"}}}
	busy.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "g"}}
	busy.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
			NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{{Key: "a",
				Operator: "Exists"}}}}}}}
	busy.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone",
		WhenUnsatisfiable: v1.DoNotSchedule}}
	busy.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "c",
		State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{}}}}
	fuzz(f, rulesOf[*v1.Pod]{
		empty: func() *v1.Pod { return &v1.Pod{} }, fill: DefaultPod, check: ValidatePod,
		updates: []func(now, old *v1.Pod) field.ErrorList{
			ValidatePodUpdate,
			// a new Pod's status is not checked
			func(now, old *v1.Pod) field.ErrorList { ValidatePodStatusUpdate(now, old); return nil },
			func(now, _ *v1.Pod) field.ErrorList { PreparePodCreate(now.DeepCopy()); return nil },
		},
		warn: []func(now, old *v1.Pod) []string{PodWarnings, PodStatusWarnings},
	}, busy, validPod())
}

func FuzzNode(f *testing.F) {
	node := validNode()
	node.Spec.PodCIDRs, node.Spec.Taints = []string{"10.0.0.0/24", "fd00::/64"},
		[]v1.Taint{{Key: "a", Effect: "NoSchedule"}}
	node.Status.Capacity = amounts("cpu", "4", "example.com/gpu", "1")
	fuzz(f, rulesOf[*v1.Node]{
		empty: func() *v1.Node { return &v1.Node{} }, fill: DefaultNode,
		// Addresses are first looked at when the status is written.
		check:   func(n *v1.Node) field.ErrorList { return concat(ValidateNode(n), nodeAddresses(n.Status.Addresses)) },
		updates: []func(now, old *v1.Node) field.ErrorList{ValidateNodeUpdate, ValidateNodeStatusUpdate},
		warn:    []func(now, old *v1.Node) []string{NodeWarnings},
	}, node)
}

func FuzzNamespace(f *testing.F) {
	fuzz(f, rulesOf[*v1.Namespace]{
		empty: func() *v1.Namespace { return &v1.Namespace{} }, fill: DefaultNamespace, check: ValidateNamespace,
		updates: []func(now, old *v1.Namespace) field.ErrorList{
			ValidateNamespaceUpdate,
			ValidateNamespaceFinalizeUpdate,
			func(now, old *v1.Namespace) field.ErrorList { ValidateNamespaceStatusUpdate(now, old); return nil },
		},
	}, &v1.Namespace{ObjectMeta: meta(""), Spec: v1.NamespaceSpec{Finalizers: []v1.FinalizerName{"kubernetes"}}})
}

func FuzzConfigMap(f *testing.F) {
	fuzz(f, rulesOf[*v1.ConfigMap]{
		empty: func() *v1.ConfigMap { return &v1.ConfigMap{} }, check: ValidateConfigMap,
		updates: []func(now, old *v1.ConfigMap) field.ErrorList{ValidateConfigMapUpdate},
	}, &v1.ConfigMap{ObjectMeta: meta("a"), Data: map[string]string{"a": "b"}, BinaryData: map[string][]byte{"c": {1}},
		Immutable: ptr(true)})
}

func FuzzSecret(f *testing.F) {
	fuzz(f, rulesOf[*v1.Secret]{
		empty: func() *v1.Secret { return &v1.Secret{} }, fill: DefaultSecret, check: ValidateSecret,
		updates: []func(now, old *v1.Secret) field.ErrorList{ValidateSecretUpdate},
	}, &v1.Secret{ObjectMeta: meta("a"), Type: v1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{v1.DockerConfigJsonKey: []byte("{}")}},
		&v1.Secret{ObjectMeta: meta("a"), Data: map[string][]byte{"a": {1}}, Immutable: ptr(true)})
}

func FuzzServiceAccount(f *testing.F) {
	fuzz(f, rulesOf[*v1.ServiceAccount]{
		empty: func() *v1.ServiceAccount { return &v1.ServiceAccount{} }, check: ValidateServiceAccount,
		updates: []func(now, old *v1.ServiceAccount) field.ErrorList{ValidateServiceAccountUpdate},
	}, &v1.ServiceAccount{ObjectMeta: meta("a"), Secrets: []v1.ObjectReference{{Name: "s"}}})
}

func FuzzEvent(f *testing.F) {
	today := validEvent()
	ofToday(today)
	fuzz(f, rulesOf[*v1.Event]{
		empty: func() *v1.Event { return &v1.Event{} }, fill: DefaultEvent, check: ValidateEvent,
		updates: []func(now, old *v1.Event) field.ErrorList{ValidateEventUpdate},
	}, validEvent(), today)
}

func FuzzLease(f *testing.F) {
	type lease = coordinationv1.Lease
	fuzz(f, rulesOf[*lease]{
		empty: func() *lease { return &lease{} }, check: ValidateLease,
		updates: []func(now, old *lease) field.ErrorList{ValidateLeaseUpdate},
	}, &lease{ObjectMeta: meta("a"), Spec: coordinationv1.LeaseSpec{
		HolderIdentity: ptr("n"), LeaseDurationSeconds: ptr[int32](40), RenewTime: &metav1.MicroTime{},
		Strategy: ptr(coordinationv1.OldestEmulationVersion),
	}})
}

func FuzzBinding(f *testing.F) {
	fuzz(f, rulesOf[*v1.Binding]{empty: func() *v1.Binding { return &v1.Binding{} }, check: ValidatePodBinding},
		&v1.Binding{ObjectMeta: meta("a"), Target: v1.ObjectReference{Kind: "Node", Name: "n"}})
}
