package validation

import (
	"encoding/json"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// fuzz decodes what the fuzzer makes as a client's JSON, and holds what must be true of any object: defaulting and validation do not
// panic, defaulting twice is defaulting once, and an object that is valid remains so.
func fuzz[T runtime.Object](f *testing.F, empty func() T, fill func(T), validate func(T) field.ErrorList, seeds ...T) {
	for _, seed := range seeds {
		text, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		obj := empty()
		if json.Unmarshal(text, obj) != nil {
			t.Skip("no JSON of this type")
		}
		fill(obj)
		once := obj.DeepCopyObject().(T)
		valid := len(validate(obj)) == 0
		if !apiequality.Semantic.DeepEqual(once, obj) {
			t.Fatalf("validation changed the object:\n%+v\n%+v", once, obj)
		}
		fill(obj)
		if !apiequality.Semantic.DeepEqual(once, obj) {
			t.Fatalf("defaulting again changed the object:\n%+v\n%+v", once, obj)
		}
		if errs := validate(obj); valid && len(errs) > 0 {
			t.Fatal("valid before, now:", errs.ToAggregate())
		}
	})
}

func FuzzService(f *testing.F) {
	seed := validService()
	localBalanced(seed)
	seed.Spec.SessionAffinity = v1.ServiceAffinityClientIP
	named := &v1.Service{ObjectMeta: seed.ObjectMeta}
	externalNameService(named)
	validate := func(svc *v1.Service) field.ErrorList {
		ServiceWarnings(svc, nil)
		settled, read := svc.DeepCopy(), svc.DeepCopy()
		DefaultServiceOnRead(read)
		PrepareServiceUpdate(settled, read)
		InitIPFamilies(settled, read, []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol})
		ValidateServiceUpdate(settled, read, Options{})
		ValidateServiceUpdate(validService(), read, Options{})
		ValidateServiceUpdate(settled, validService(), Options{})
		ValidateServiceStatusUpdate(settled, read)
		created := svc.DeepCopy()
		PrepareServiceCreate(created)
		InitIPFamilies(created, nil, []v1.IPFamily{v1.IPv6Protocol})
		return ValidateService(svc, Options{})
	}
	fuzz(f, func() *v1.Service { return &v1.Service{} }, DefaultService, validate, seed, named, validService())
}

func FuzzEndpoints(f *testing.F) {
	validate := func(ep *v1.Endpoints) field.ErrorList {
		EndpointsWarnings(ep, nil)
		ValidateEndpointsUpdate(ep, validEndpoints(), Options{AllowLoopback: true})
		return ValidateEndpoints(ep, Options{})
	}
	fuzz(f, func() *v1.Endpoints { return &v1.Endpoints{} }, DefaultEndpoints, validate, validEndpoints())
}

func FuzzEndpointSlice(f *testing.F) {
	validate := func(slice *discoveryv1.EndpointSlice) field.ErrorList {
		EndpointSliceWarnings(slice, nil)
		ValidateEndpointSliceUpdate(slice, validSlice(), Options{AllowLoopback: true})
		return ValidateEndpointSlice(slice, Options{})
	}
	fuzz(f, func() *discoveryv1.EndpointSlice { return &discoveryv1.EndpointSlice{} }, DefaultEndpointSlice, validate, validSlice())
}

func FuzzPod(f *testing.F) {
	seed := validPod()
	c := &seed.Spec.Containers[0]
	c.Ports = []v1.ContainerPort{{Name: "http", ContainerPort: 80}}
	c.Env = []v1.EnvVar{{Name: "IP", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels['a']"}}}}
	c.LivenessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{}}}
	c.Resources.Limits = quantities("cpu", "1")
	seed.Spec.Volumes[0].ConfigMap = &v1.ConfigMapVolumeSource{Items: []v1.KeyToPath{{Key: "a", Path: "b"}}}
	validate := func(pod *v1.Pod) field.ErrorList {
		ValidatePodUpdate(pod, pod.DeepCopy())
		ValidatePodUpdate(pod, validPod())
		ValidatePodStatusUpdate(pod, pod.DeepCopy())
		return ValidatePod(pod)
	}
	fuzz(f, func() *v1.Pod { return &v1.Pod{} }, DefaultPod, validate, seed, validPod())
}
