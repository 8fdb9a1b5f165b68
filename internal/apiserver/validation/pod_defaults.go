package validation

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The default mode of files in volumes, and the default lifetime of a projected token.
const (
	defaultFileMode     = int32(0o644)
	defaultTokenSeconds = int64(60 * 60)
)

// DefaultPod fills in the fields that a Pod leaves out, in its containers and volumes too.
func DefaultPod(pod *v1.Pod) {
	linkAliases(pod)
	spec := &pod.Spec
	defaultTo(&spec.DNSPolicy, v1.DNSClusterFirst)
	defaultTo(&spec.RestartPolicy, v1.RestartPolicyAlways)
	defaultTo(&spec.SchedulerName, v1.DefaultSchedulerName)
	defaultPointer(&spec.SecurityContext, v1.PodSecurityContext{})
	defaultPointer(&spec.TerminationGracePeriodSeconds, int64(v1.DefaultTerminationGracePeriodSeconds))
	defaultPointer(&spec.EnableServiceLinks, v1.DefaultEnableServiceLinks)
	roundResources(spec.Overhead)
	for i := range spec.InitContainers {
		defaultContainer(&spec.InitContainers[i], spec.HostNetwork)
	}
	for i := range spec.Containers {
		defaultContainer(&spec.Containers[i], spec.HostNetwork)
	}
	for i := range spec.EphemeralContainers {
		c := v1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		defaultContainer(&c, false)
		spec.EphemeralContainers[i].EphemeralContainerCommon = v1.EphemeralContainerCommon(c)
	}
	for i := range spec.Volumes {
		defaultVolume(&spec.Volumes[i].VolumeSource)
	}
}

// linkAliases makes deprecated singular fields agree with the fields that replaced them. If they differ, the
// singular field wins, since a client that only knows the singular field has changed it.
func linkAliases(pod *v1.Pod) {
	defaultTo(&pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount)
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	status := &pod.Status
	if len(status.PodIPs) > 0 {
		defaultTo(&status.PodIP, status.PodIPs[0].IP)
	}
	if status.PodIP != "" && (len(status.PodIPs) == 0 || status.PodIPs[0].IP != status.PodIP) {
		status.PodIPs = []v1.PodIP{{IP: status.PodIP}}
	}
	if len(status.HostIPs) > 0 {
		defaultTo(&status.HostIP, status.HostIPs[0].IP)
	}
	if status.HostIP != "" && (len(status.HostIPs) == 0 || status.HostIPs[0].IP != status.HostIP) {
		status.HostIPs = []v1.HostIP{{IP: status.HostIP}}
	}
}

func defaultContainer(c *v1.Container, hostNetwork bool) {
	defaultTo(&c.ImagePullPolicy, pullPolicy(c.Image))
	defaultTo(&c.TerminationMessagePath, v1.TerminationMessagePathDefault)
	defaultTo(&c.TerminationMessagePolicy, v1.TerminationMessageReadFile)
	for i := range c.Ports {
		defaultTo(&c.Ports[i].Protocol, v1.ProtocolTCP)
		if hostNetwork {
			defaultTo(&c.Ports[i].HostPort, c.Ports[i].ContainerPort)
		}
	}
	for i := range c.Env {
		if source := c.Env[i].ValueFrom; source != nil {
			defaultFieldRef(source.FieldRef)
			defaultFileKey(source.FileKeyRef)
		}
	}
	for _, probe := range []*v1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(probe)
	}
	if c.Lifecycle != nil {
		defaultHook(c.Lifecycle.PostStart)
		defaultHook(c.Lifecycle.PreStop)
	}
	defaultResources(&c.Resources)
}

// pullPolicy returns the default pull policy: Always for the tag latest or no tag, which means latest.
func pullPolicy(image string) v1.PullPolicy {
	if strings.Contains(image, "@") {
		return v1.PullIfNotPresent // pinned by digest
	}
	name := image[strings.LastIndex(image, "/")+1:] // what is before may hold the colon of a registry's port
	_, tag, found := strings.Cut(name, ":")
	if !found || tag == "latest" {
		return v1.PullAlways
	}
	return v1.PullIfNotPresent
}

func defaultFieldRef(ref *v1.ObjectFieldSelector) {
	if ref != nil {
		defaultTo(&ref.APIVersion, "v1")
	}
}

func defaultFileKey(ref *v1.FileKeySelector) {
	if ref != nil {
		defaultPointer(&ref.Optional, false)
	}
}

// defaultProbe sets the missing numbers of a probe, in seconds and in answers.
func defaultProbe(probe *v1.Probe) {
	if probe == nil {
		return
	}
	defaultTo(&probe.TimeoutSeconds, 1)
	defaultTo(&probe.PeriodSeconds, 10)
	defaultTo(&probe.SuccessThreshold, 1)
	defaultTo(&probe.FailureThreshold, 3)
	defaultHTTPGet(probe.HTTPGet)
	if probe.GRPC != nil {
		defaultPointer(&probe.GRPC.Service, "")
	}
}

func defaultHook(hook *v1.LifecycleHandler) {
	if hook != nil {
		defaultHTTPGet(hook.HTTPGet)
	}
}

func defaultHTTPGet(get *v1.HTTPGetAction) {
	if get != nil {
		defaultTo(&get.Path, "/")
		defaultTo(&get.Scheme, v1.URISchemeHTTP)
	}
}

// defaultResources sets missing requests to the limits.
func defaultResources(r *v1.ResourceRequirements) {
	roundResources(r.Limits)
	roundResources(r.Requests)
	for name, limit := range r.Limits {
		if _, ok := r.Requests[name]; ok {
			continue
		}
		if r.Requests == nil {
			r.Requests = v1.ResourceList{}
		}
		r.Requests[name] = limit.DeepCopy()
	}
}

// roundResources rounds up to thousandths, the smallest unit that is stored.
func roundResources(list v1.ResourceList) {
	for name, quantity := range list { // unordered: each quantity is rounded for itself
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}

// defaultVolume completes the source of a volume. A volume without a source is an emptyDir.
func defaultVolume(v *v1.VolumeSource) {
	if countPointers(v) == 0 {
		v.EmptyDir = &v1.EmptyDirVolumeSource{}
	}
	if v.Image != nil {
		defaultTo(&v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	}
	if v.HostPath != nil {
		defaultPointer(&v.HostPath.Type, v1.HostPathUnset)
	}
	if v.Secret != nil {
		defaultPointer(&v.Secret.DefaultMode, defaultFileMode)
	}
	if v.ConfigMap != nil {
		defaultPointer(&v.ConfigMap.DefaultMode, defaultFileMode)
	}
	if v.DownwardAPI != nil {
		defaultPointer(&v.DownwardAPI.DefaultMode, defaultFileMode)
		defaultDownward(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		defaultPointer(&v.Projected.DefaultMode, defaultFileMode)
		for _, source := range v.Projected.Sources {
			defaultProjection(source)
		}
	}
}

func defaultProjection(source v1.VolumeProjection) {
	if source.DownwardAPI != nil {
		defaultDownward(source.DownwardAPI.Items)
	}
	if source.ServiceAccountToken != nil {
		defaultPointer(&source.ServiceAccountToken.ExpirationSeconds, defaultTokenSeconds)
	}
}

func defaultDownward(items []v1.DownwardAPIVolumeFile) {
	for i := range items {
		defaultFieldRef(items[i].FieldRef)
	}
}
