package validation

import (
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestMountModes(t *testing.T) {
	mount := func(build func(*v1.VolumeMount)) func(*v1.Pod) {
		return first(func(c *v1.Container) {
			c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
			build(&c.VolumeMounts[0])
		})
	}
	propagate := func(mode v1.MountPropagationMode) func(*v1.Pod) {
		return mount(func(m *v1.VolumeMount) { m.MountPropagation = &mode })
	}
	recursive := func(mode v1.RecursiveReadOnlyMode, build func(*v1.VolumeMount)) func(*v1.Pod) {
		return mount(func(m *v1.VolumeMount) { m.ReadOnly, m.RecursiveReadOnly = true, &mode; apply(build, m) })
	}
	image := func(build func(*v1.VolumeMount)) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Volumes[0].VolumeSource = v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: "i", PullPolicy: "Always"}}
			mount(build)(p)
		}
	}
	const at = "spec.containers[0].volumeMounts"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"propagation", propagate("HostToContainer"), ""},
		{"unknown propagation", propagate("x"), "NotSupported " + at + ".mountPropagation"},
		{"both ways", propagate("Bidirectional"), "Forbidden " + at + ".mountPropagation"},
		{"both ways with privilege", func(p *v1.Pod) {
			propagate("Bidirectional")(p)
			p.Spec.Containers[0].SecurityContext = &v1.SecurityContext{Privileged: ptr(true)}
		}, ""},
		{"recursive", recursive("Enabled", nil), ""},
		{"recursive, disabled", recursive("Disabled", func(m *v1.VolumeMount) { m.ReadOnly = false }), ""},
		{"recursive, writable", recursive("IfPossible", func(m *v1.VolumeMount) { m.ReadOnly = false }), "Forbidden " + at +
			".recursiveReadOnly"},
		{"recursive, propagated",
			recursive("Enabled", func(m *v1.VolumeMount) { m.MountPropagation = ptr(v1.MountPropagationHostToContainer) }),
			"Forbidden " + at + ".recursiveReadOnly"},
		{"recursive, unknown", recursive("x", nil), "NotSupported " + at + ".recursiveReadOnly"},
		{"image", image(func(*v1.VolumeMount) {}), ""},
		{"part of an image", image(func(m *v1.VolumeMount) { m.SubPath = "a" }), "Invalid " + at + "[0].subPath"},
		{"part of an image, computed", image(func(m *v1.VolumeMount) { m.SubPathExpr = "a" }), "Invalid " + at +
			"[0].subPathExpr"},
	})
}

func TestVolumeDevices(t *testing.T) {
	devices := func(list ...v1.VolumeDevice) func(*v1.Pod) {
		return func(p *v1.Pod) {
			claim := v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}
			p.Spec.Volumes = append(p.Spec.Volumes, v1.Volume{Name: "d", VolumeSource: claim},
				v1.Volume{Name: "e", VolumeSource: claim})
			p.Spec.Containers[0].VolumeDevices = list
		}
	}
	mounted := func(name, path string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			devices(v1.VolumeDevice{Name: "d", DevicePath: "/d"})(p)
			p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: name, MountPath: path}}
		}
	}
	const at, mount = "spec.containers[0].volumeDevices", "spec.containers[0].volumeMounts[0]"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"valid", devices(v1.VolumeDevice{Name: "d", DevicePath: "/d"}, v1.VolumeDevice{Name: "e", DevicePath: "/e"}), ""},
		{"of nothing", devices(v1.VolumeDevice{}), "Required " + at + "[0].name\nNotFound " + at + "[0].name\nRequired " +
			at + "[0].devicePath"},
		{"of what is no claim", devices(v1.VolumeDevice{Name: "v", DevicePath: "/d"}), "Invalid " + at + "[0].name"},
		{"twice", devices(v1.VolumeDevice{Name: "d", DevicePath: "/d"}, v1.VolumeDevice{Name: "d", DevicePath: "/e"}),
			"Invalid " + at + "[1].name"},
		{"two in one place", devices(v1.VolumeDevice{Name: "d", DevicePath: "/d"}, v1.VolumeDevice{Name: "e",
			DevicePath: "/d"}), "Invalid " + at + "[1].devicePath"},
		{"upwards", devices(v1.VolumeDevice{Name: "d", DevicePath: "/d/../e"}), "Invalid " + at + "[0].devicePath"},
		{"mounted too", mounted("d", "/m"), "Invalid " + at + "[0].name\nInvalid " + mount + ".name"},
		{"where a mount is", mounted("v", "/d"), "Invalid " + at + "[0].devicePath\nInvalid " + mount + ".mountPath"},
	})
}
