package validation

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestVolumes(t *testing.T) {
	volume := func(source v1.VolumeSource) func(*v1.Pod) {
		return func(p *v1.Pod) { p.Spec.Volumes[0].VolumeSource = source }
	}
	mounts := func(list ...v1.VolumeMount) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.VolumeMounts = list })
	}
	sources := func(list ...v1.VolumeProjection) func(*v1.Pod) {
		return volume(v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: list}})
	}
	x := v1.LocalObjectReference{Name: "x"}
	token := func(seconds int64) v1.VolumeProjection {
		return v1.VolumeProjection{ServiceAccountToken: &v1.ServiceAccountTokenProjection{Path: "t",
			ExpirationSeconds: &seconds}}
	}
	less := resource.MustParse("-1")
	const at, mount = "spec.volumes[0]", "spec.containers[0].volumeMounts[0]"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"no name", func(p *v1.Pod) { p.Spec.Volumes[0].Name = "" }, "Required " + at + ".name"},
		{"name", func(p *v1.Pod) { p.Spec.Volumes[0].Name = "A" }, "Invalid " + at + ".name"},
		{"name twice", func(p *v1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, v1.Volume{Name: "v"}) },
			"Duplicate spec.volumes[1].name"},
		{"two sources", volume(v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}, NFS: &v1.NFSVolumeSource{}}),
			"Forbidden " + at + ".nfs"},
		{"a source and a downward one", volume(v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{},
			DownwardAPI: &v1.DownwardAPIVolumeSource{}}), "Forbidden " + at + ".downwarAPI"},
		{"a source that is not used here", volume(v1.VolumeSource{NFS: &v1.NFSVolumeSource{}}), ""},
		{"empty directory", volume(v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{SizeLimit: &less}}), "Forbidden " + at +
			".emptyDir.sizeLimit"},
		{"host path", volume(v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Type: ptr(v1.HostPathType("x"))}}),
			"Required " + at + ".hostPath.path"},
		{"host path of an unknown type", volume(v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: "/a",
			Type: ptr(v1.HostPathType("x"))}}), "NotSupported " + at + ".hostPath.type"},
		{"host path upwards", volume(v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: "/a/../b"}}), "Invalid " + at +
			".hostPath.path"},
		{"secret", volume(v1.VolumeSource{Secret: &v1.SecretVolumeSource{DefaultMode: ptr[int32](0o1000),
			Items: []v1.KeyToPath{{}, {Key: "a", Path: "/a", Mode: ptr[int32](-1)}}}}),
			`Required spec.volumes[0].secret.secretName
			Invalid spec.volumes[0].secret.defaultMode
			Required spec.volumes[0].secret.items[0].key
			Required spec.volumes[0].secret.items[0].path
			Invalid spec.volumes[0].secret.items[1].path
			Invalid spec.volumes[0].secret.items[1].mode`},
		{"config map", volume(v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{Items: []v1.KeyToPath{{Key: "a",
			Path: "../a"}, {Key: "b", Path: "..b"}}}}),
			"Required " + at + ".configMap.name\nInvalid " + at + ".configMap.items[0].path\nInvalid " + at +
				".configMap.items[1].path"},
		{"downward", volume(v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{DefaultMode: ptr[int32](-1),
			Items: []v1.DownwardAPIVolumeFile{
				{Path: "labels", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels"}},
				{Path: "ip", FieldRef: &v1.ObjectFieldSelector{FieldPath: "status.podIP"}},
				{Path: "none"},
				{Path: "both", FieldRef: &v1.ObjectFieldSelector{}, ResourceFieldRef: &v1.ResourceFieldSelector{}}}}}),
			`Invalid spec.volumes[0].downwardAPI.defaultMode
			NotSupported spec.volumes[0].downwardAPI.fieldRef.fieldPath
			Required spec.volumes[0].downwardAPI
			Invalid spec.volumes[0].downwardAPI`},
		{"downward, of a container",
			volume(v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: []v1.DownwardAPIVolumeFile{
				{Path: "cpu", ResourceFieldRef: &v1.ResourceFieldSelector{ContainerName: "c", Resource: "limits.cpu"}}}}}), ""},
		{"downward, of no container",
			volume(v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: []v1.DownwardAPIVolumeFile{
				{Path: "/cpu", Mode: ptr[int32](-1), ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.cpu"}}}}}),
			"Invalid " + at + ".downwardAPI.path\nInvalid " + at + ".downwardAPI.mode\nRequired " + at +
				".downwardAPI.resourceFieldRef.containerName"},
		{"projected", sources(v1.VolumeProjection{Secret: &v1.SecretProjection{}},
			v1.VolumeProjection{ConfigMap: &v1.ConfigMapProjection{}},
			v1.VolumeProjection{ServiceAccountToken: &v1.ServiceAccountTokenProjection{}},
			v1.VolumeProjection{DownwardAPI: &v1.DownwardAPIProjection{Items: make([]v1.DownwardAPIVolumeFile, 1)}}),
			`Required spec.volumes[0].projected.sources[0].secret.name
			Required spec.volumes[0].projected.sources[1].configMap.name
			Required spec.volumes[0].projected.path
			Required spec.volumes[0].projected.sources[3].downwardAPI.path
			Required spec.volumes[0].projected.sources[3].downwardAPI`},
		{"projected, one file twice", sources(v1.VolumeProjection{Secret: &v1.SecretProjection{LocalObjectReference: x,
			Items: []v1.KeyToPath{{Key: "a", Path: "p"}}}},
			v1.VolumeProjection{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: x,
				Items: []v1.KeyToPath{{Key: "a", Path: "p"}}}}), "Invalid " + at + ".projected"},
		{"projected, mode", volume(v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{DefaultMode: ptr[int32](0o1000)}}),
			"Invalid " + at + ".projected.defaultMode"},
		{"token that lives too short", sources(token(599)), "Invalid " + at +
			".projected.sources[0].serviceAccountToken.expirationSeconds"},
		{"token that lives", sources(token(600)), ""},
		{"token that lives too long", sources(token(1<<32 + 1)), "Invalid " + at +
			".projected.sources[0].serviceAccountToken.expirationSeconds"},
		{"projected, two in one",
			sources(v1.VolumeProjection{ServiceAccountToken: &v1.ServiceAccountTokenProjection{Path: "t"},
				DownwardAPI: &v1.DownwardAPIProjection{}}),
			"Forbidden " + at + ".projected.sources[0]"},
		{"image", volume(v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: "web:1"}}), ""},
		{"image of nothing", volume(v1.VolumeSource{Image: &v1.ImageVolumeSource{PullPolicy: "x"}}), "Required " + at +
			".image.reference\nNotSupported " + at + ".image.pullPolicy"},
		{"claim", volume(v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{}}), "Required " + at +
			".persistentVolumeClaim.claimName"},
		{"mount", mounts(v1.VolumeMount{Name: "v", MountPath: "/v", SubPath: "a/b"}), ""},
		{"mount of nothing", mounts(v1.VolumeMount{}), "Required " + mount + ".name\nNotFound " + mount + ".name\nRequired " +
			mount + ".mountPath"},
		{"mount of a volume with a fault", func(p *v1.Pod) {
			p.Spec.Volumes[0].VolumeSource = v1.VolumeSource{Secret: &v1.SecretVolumeSource{}}
			mounts(v1.VolumeMount{Name: "v", MountPath: "/v"})(p)
		}, "Required " + at + ".secret.secretName\nNotFound " + mount + ".name"},
		{"mount of what is not there", mounts(v1.VolumeMount{Name: "x", MountPath: "/v"}), "NotFound " + mount + ".name"},
		{"mounts in one place", mounts(v1.VolumeMount{Name: "v", MountPath: "/v"}, v1.VolumeMount{Name: "v",
			MountPath: "/v"}), "Invalid spec.containers[0].volumeMounts[1].mountPath"},
		{"mount from above", mounts(v1.VolumeMount{Name: "v", MountPath: "/v", SubPath: "../a"}),
			"Invalid spec.containers[0].volumeMounts.subPath"},
		{"mount from the root", mounts(v1.VolumeMount{Name: "v", MountPath: "/v", SubPathExpr: "/a"}),
			"Invalid spec.containers[0].volumeMounts.subPathExpr"},
		{"mount from two places", mounts(v1.VolumeMount{Name: "v", MountPath: "/v", SubPath: "a", SubPathExpr: "$(A)"}),
			"Invalid " + mount + ".subPathExpr"},
	})
	expect(t, volumeSource(&v1.VolumeSource{}, field.NewPath("v")), "Required v")
}
