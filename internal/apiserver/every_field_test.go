package apiserver_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver/apitest"
)

// These tests send objects with every field set, also fields that nothing here uses, and want the same object back: a
// server that drops a field breaks its clients.

// filler sets every field of an object: strings to "a", numbers to 1, lists and maps to one entry. In a union, a struct
// of which one pointer may be set, it sets the pointer of index variant.
type filler struct{ variant int }

// words are the values of enumerations, by their type.
var words = map[reflect.Type]string{
	reflect.TypeFor[corev1.Protocol]():                      "TCP",
	reflect.TypeFor[corev1.RestartPolicy]():                 "OnFailure",
	reflect.TypeFor[corev1.ContainerRestartPolicy]():        "Always",
	reflect.TypeFor[corev1.PullPolicy]():                    "Never",
	reflect.TypeFor[corev1.DNSPolicy]():                     "Default",
	reflect.TypeFor[corev1.TerminationMessagePolicy]():      "FallbackToLogsOnError",
	reflect.TypeFor[corev1.URIScheme]():                     "HTTPS",
	reflect.TypeFor[corev1.TaintEffect]():                   "NoExecute",
	reflect.TypeFor[corev1.TolerationOperator]():            "Equal",
	reflect.TypeFor[corev1.NodeSelectorOperator]():          "In",
	reflect.TypeFor[metav1.LabelSelectorOperator]():         "In",
	reflect.TypeFor[corev1.MountPropagationMode]():          "None",
	reflect.TypeFor[corev1.RecursiveReadOnlyMode]():         "IfPossible",
	reflect.TypeFor[corev1.HostPathType]():                  "Directory",
	reflect.TypeFor[corev1.PreemptionPolicy]():              "Never",
	reflect.TypeFor[corev1.PodFSGroupChangePolicy]():        "Always",
	reflect.TypeFor[corev1.SupplementalGroupsPolicy]():      "Strict",
	reflect.TypeFor[corev1.PodSELinuxChangePolicy]():        "Recursive",
	reflect.TypeFor[corev1.ProcMountType]():                 "Default",
	reflect.TypeFor[corev1.SeccompProfileType]():            "Localhost",
	reflect.TypeFor[corev1.AppArmorProfileType]():           "Localhost",
	reflect.TypeFor[corev1.UnsatisfiableConstraintAction](): "DoNotSchedule",
	reflect.TypeFor[corev1.NodeInclusionPolicy]():           "Honor",
	reflect.TypeFor[corev1.OSName]():                        "linux",
	reflect.TypeFor[corev1.ResourceName]():                  "cpu",
	reflect.TypeFor[corev1.ServiceType]():                   "LoadBalancer",
	reflect.TypeFor[corev1.ServiceAffinity]():               "ClientIP",
	reflect.TypeFor[corev1.IPFamily]():                      "IPv4",
	reflect.TypeFor[corev1.IPFamilyPolicy]():                "SingleStack",
	reflect.TypeFor[corev1.ServiceInternalTrafficPolicy]():  "Local",
	reflect.TypeFor[corev1.ServiceExternalTrafficPolicy]():  "Local",
	reflect.TypeFor[corev1.LoadBalancerIPMode]():            "Proxy",
	reflect.TypeFor[metav1.ConditionStatus]():               "True",
}

var unions = []reflect.Type{
	reflect.TypeFor[corev1.VolumeSource](), reflect.TypeFor[corev1.EnvVarSource](), reflect.TypeFor[corev1.ProbeHandler](),
	reflect.TypeFor[corev1.LifecycleHandler](), reflect.TypeFor[corev1.VolumeProjection](),
	reflect.TypeFor[corev1.EnvFromSource](),
}

func (f filler) fill(v reflect.Value) {
	switch v.Interface().(type) {
	case metav1.Time:
		v.Set(reflect.ValueOf(metav1.NewTime(time.Unix(1_000_000, 0))))
		return
	case resource.Quantity:
		v.Set(reflect.ValueOf(resource.MustParse("1")))
		return
	case metav1.FieldsV1: // the managed fields of an embedded object
		v.Set(reflect.ValueOf(metav1.FieldsV1{Raw: []byte(`{}`)}))
		return
	case intstr.IntOrString:
		v.Set(reflect.ValueOf(intstr.FromInt32(1)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		f.fillStruct(v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("a")
		if word, ok := words[v.Type()]; ok {
			v.SetString(word)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	default:
		panic(fmt.Sprintf("no value for a %s", v.Type()))
	}
}

func (f filler) fillStruct(v reflect.Value) {
	chosen := -1
	for _, union := range unions {
		if v.Type() == union {
			chosen = f.choose(v)
		}
	}
	for i := range v.NumField() {
		if v.Field(i).Kind() != reflect.Pointer || chosen < 0 || i == chosen {
			f.fill(v.Field(i))
		}
	}
}

// choose returns the index of the pointer that this variant sets in a union.
func (f filler) choose(v reflect.Value) int {
	var pointers []int
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Pointer {
			pointers = append(pointers, i)
		}
	}
	return pointers[f.variant%len(pointers)]
}

// fullPod returns a Pod with every field of its spec set. It corrects fields that contradict each other or have a
// syntax of their own.
func fullPod(variant int) *corev1.Pod {
	pod := &corev1.Pod{}
	filler{variant}.fill(reflect.ValueOf(&pod.Spec).Elem())
	filler{variant}.fill(reflect.ValueOf(&pod.Status).Elem())
	pod.ObjectMeta = metav1.ObjectMeta{Name: fmt.Sprintf("full-%d", variant), Labels: map[string]string{"a": "b"},
		Annotations: map[string]string{"a": "b"}}
	spec := &pod.Spec
	// with gates; at creation; with a process namespace of its own
	spec.NodeName, spec.EphemeralContainers, spec.HostPID = "", nil, false
	spec.DNSConfig.Nameservers[0], spec.HostAliases[0].IP = "10.0.0.1", "10.0.0.1"
	spec.SecurityContext.Sysctls[0].Name = "kernel.sem"
	spec.HostIPC = false
	spec.TopologySpreadConstraints[0].MatchLabelKeys[0] = "c"
	affinity := spec.Affinity
	for _, term := range []*corev1.PodAffinityTerm{
		&affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0],
		&affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm,
		&affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0],
		&affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm,
	} {
		term.MatchLabelKeys[0], term.MismatchLabelKeys[0] = "b", "c"
	}
	nodes := affinity.NodeAffinity
	nodes.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Key = "metadata.name"
	nodes.PreferredDuringSchedulingIgnoredDuringExecution[0].Preference.MatchFields[0].Key = "metadata.name"
	spec.InitContainers[0].Name = "b"
	for _, c := range []*corev1.Container{&spec.Containers[0], &spec.InitContainers[0]} {
		legalContainer(c, spec.Volumes[0].PersistentVolumeClaim != nil || spec.Volumes[0].Ephemeral != nil)
		for i := range c.VolumeMounts {
			mount := &c.VolumeMounts[i] // the variants alternate between subPath and subPathExpr
			switch {
			case spec.Volumes[0].Image != nil:
				mount.SubPath, mount.SubPathExpr = "", ""
			case variant%2 == 0:
				mount.SubPath = ""
			default:
				mount.SubPathExpr = ""
			}
		}
	}
	legalVolume(&spec.Volumes[0].VolumeSource)
	status := &pod.Status
	status.PodIP, status.PodIPs[0].IP, status.HostIP, status.HostIPs[0].IP = "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"
	return pod
}

func legalContainer(c *corev1.Container, device bool) {
	c.ReadinessProbe.TerminationGracePeriodSeconds = nil
	if device {
		c.VolumeMounts = nil
	} else {
		c.VolumeDevices = nil
	}
	if source := c.Env[0].ValueFrom; source.FieldRef != nil {
		source.FieldRef.APIVersion, source.FieldRef.FieldPath = "v1", "metadata.name"
	} else if source.ResourceFieldRef != nil {
		source.ResourceFieldRef.Resource = "limits.cpu"
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: "b", Value: "c"})
	c.Env[0].Value = ""
}

func legalVolume(v *corev1.VolumeSource) {
	var files []corev1.DownwardAPIVolumeFile
	switch {
	case v.DownwardAPI != nil:
		files = v.DownwardAPI.Items
	case v.Projected != nil:
		source := v.Projected.Sources[0]
		if source.DownwardAPI != nil {
			files = source.DownwardAPI.Items
		}
		if source.ServiceAccountToken != nil {
			*source.ServiceAccountToken.ExpirationSeconds = 3600
		}
	}
	for i := range files {
		files[i].FieldRef = nil
		files[i].ResourceFieldRef.Resource = "limits.cpu"
	}
}

// variants is larger than the number of members of the largest union.
const variants = 32

func TestEveryFieldOfAPodIsKept(t *testing.T) {
	if n := reflect.TypeFor[corev1.VolumeSource]().NumField(); n > variants {
		t.Fatalf("%d kinds of volumes, and only %d variants", n, variants)
	}
	client := apitest.Start(t).Client(t)
	pods := client.CoreV1().Pods("default")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: fullPod(0).Spec.ServiceAccountName}}
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), account,
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for variant := range variants {
		sent := fullPod(variant)
		if _, err := pods.Create(t.Context(), sent, metav1.CreateOptions{}); err != nil {
			t.Fatalf("variant %d: %v", variant, err)
		}
		got, err := pods.Get(t.Context(), sent.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent.Spec, got.Spec); diff != "" {
			t.Errorf("variant %d (-sent +kept):\n%s", variant, diff)
		}
		quality := got.Status.QOSClass
		got.Status, got.Spec = sent.Status, corev1.PodSpec{} // a write of the status cannot change the spec
		got.Status.QOSClass = quality
		want := got.Status
		if got, err = pods.UpdateStatus(t.Context(), got, metav1.UpdateOptions{}); err != nil {
			t.Fatalf("status of variant %d: %v", variant, err)
		}
		if diff := cmp.Diff(want, got.Status) + cmp.Diff(sent.Spec, got.Spec); diff != "" {
			t.Errorf("status of variant %d (-sent +kept):\n%s", variant, diff)
		}
	}
}

func TestEveryFieldOfANodeIsKept(t *testing.T) {
	nodes := apitest.Start(t).Client(t).CoreV1().Nodes()
	sent := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "full"}}
	filler{}.fill(reflect.ValueOf(&sent.Spec).Elem())
	filler{}.fill(reflect.ValueOf(&sent.Status).Elem())
	sent.Spec.PodCIDR, sent.Spec.PodCIDRs = "10.0.0.0/24", []string{"10.0.0.0/24", "fd00::/64"}
	sent.Spec.ConfigSource = nil // upstream clears it too: nothing has read it since v1.26
	if _, err := nodes.Create(t.Context(), sent, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := nodes.Get(t.Context(), "full", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent.Spec, got.Spec) + cmp.Diff(sent.Status, got.Status); diff != "" {
		t.Errorf("(-sent +kept):\n%s", diff)
	}
}

func fullService() *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "full"}}
	filler{}.fill(reflect.ValueOf(&svc.Spec).Elem())
	filler{}.fill(reflect.ValueOf(&svc.Status).Elem())
	spec := &svc.Spec
	spec.ClusterIP, spec.ClusterIPs = "127.96.0.9", []string{"127.96.0.9"}
	spec.Ports[0].NodePort, spec.HealthCheckNodePort = 30001, 30002
	spec.ExternalIPs, spec.LoadBalancerIP, spec.LoadBalancerSourceRanges = []string{"192.0.2.1"}, "192.0.2.2",
		[]string{"10.0.0.0/8"}
	*spec.TrafficDistribution = corev1.ServiceTrafficDistributionPreferSameNode
	svc.Status.LoadBalancer.Ingress[0].IP = "192.0.2.2"
	return svc
}

func TestEveryFieldOfAServiceIsKept(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	services := client.CoreV1().Services("default")
	sent := fullService()
	create(t, client, sent)
	got, err := services.Get(t.Context(), "full", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent.Spec, got.Spec); diff != "" {
		t.Errorf("(-sent +kept):\n%s", diff)
	}
	if diff := cmp.Diff(corev1.ServiceStatus{}, got.Status); diff != "" {
		t.Errorf("the status of a new Service is its creator's (-none +got):\n%s", diff)
	}
	got.Status, got.Spec.Selector = sent.Status, map[string]string{"not": "the status's to write"}
	if got, err = services.UpdateStatus(t.Context(), got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent.Status, got.Status) + cmp.Diff(sent.Spec, got.Spec); diff != "" {
		t.Errorf("after a write of the status (-sent +kept):\n%s", diff)
	}
	keptInJSON(t, server, sent)
}

// keptInJSON reads the object as JSON, the other encoding of clients.
func keptInJSON(t *testing.T, server *apitest.Server, sent *corev1.Service) {
	t.Helper()
	config := server.Config()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.CoreV1().Services("default").Get(t.Context(), sent.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent.Spec, got.Spec) + cmp.Diff(sent.Status, got.Status); diff != "" {
		t.Errorf("in JSON (-sent +kept):\n%s", diff)
	}
}

// A field that the types do not have is a mistake: the response has a warning, or an error with strict validation.
func TestUnknownFieldsWarn(t *testing.T) {
	server := apitest.Start(t)
	warned := &warnings{}
	config := server.Config()
	config.WarningHandler = warned
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	manifest := []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"typo"},"spec":{"prots":[],"ports":[{"port":80}]}}`)
	services := client.CoreV1().Services("default")
	strict := metav1.PatchOptions{FieldManager: "test", FieldValidation: metav1.FieldValidationStrict}
	if _, err := services.Patch(t.Context(), "typo", types.ApplyPatchType, manifest, strict); err == nil {
		t.Error("strictly, an unknown field passes")
	}
	post := func(validation string) error {
		return client.CoreV1().RESTClient().Post().Namespace("default").Resource("services").Param("fieldValidation",
			validation).
			SetHeader("Content-Type", runtime.ContentTypeJSON).Body(manifest).Do(t.Context()).Error()
	}
	if err := post(metav1.FieldValidationStrict); err == nil {
		t.Error("strictly, an unknown field passes a POST")
	}
	warned.take()
	if err := post(metav1.FieldValidationWarn); err != nil {
		t.Fatal(err)
	}
	if texts := warned.take(); len(texts) != 1 || texts[0] != `unknown field "spec.prots"` {
		t.Errorf("warnings %q", texts)
	}
}
