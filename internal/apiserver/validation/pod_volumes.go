package validation

import (
	"path"
	"reflect"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// countPointers counts the pointers of a struct that are set. It serves the unions of the API, of which exactly one
// member must be set, and also counts members that are new in the library.
func countPointers(union any) int {
	v := reflect.Indirect(reflect.ValueOf(union))
	n := 0
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			n++
		}
	}
	return n
}

// volumesByName are the valid volumes of a Pod, for the checks of its containers.
type volumesByName map[string]*v1.VolumeSource

// podVolumes checks the volumes of a Pod and returns the valid ones.
func podVolumes(volumes []v1.Volume, at *field.Path) (volumesByName, field.ErrorList) {
	good := volumesByName{}
	var errs field.ErrorList
	for i := range volumes {
		name := at.Index(i).Child("name")
		found := concat(volumeSource(&volumes[i].VolumeSource, at.Index(i)), requiredName(name, volumes[i].Name,
			syntax.IsDNS1123Label))
		if _, twice := good[volumes[i].Name]; twice {
			found = append(found, field.Duplicate(name, volumes[i].Name))
		}
		if len(found) == 0 {
			good[volumes[i].Name] = &volumes[i].VolumeSource
		}
		errs = append(errs, found...)
	}
	return good, errs
}

// volumeSource checks that a volume has exactly one source. The order is upstream's, since the later one of two
// sources is reported. The names are upstream's too, one of them misspelled. Sources that Viaduct does not mount are
// not checked further.
func volumeSource(v *v1.VolumeSource, at *field.Path) field.ErrorList {
	unseen := func(*field.Path) field.ErrorList { return nil }
	return handlers(at, []handler{
		{"emptyDir", v.EmptyDir != nil, func(at *field.Path) field.ErrorList { return emptyDir(v.EmptyDir, at) }},
		{"hostPath", v.HostPath != nil, func(at *field.Path) field.ErrorList { return hostPath(v.HostPath, at) }},
		{"gitRepo", v.GitRepo != nil, unseen},
		{"gcePersistentDisk", v.GCEPersistentDisk != nil, unseen},
		{"awsElasticBlockStore", v.AWSElasticBlockStore != nil, unseen},
		{"secret", v.Secret != nil, func(at *field.Path) field.ErrorList {
			return concat(required(at.Child("secretName"), v.Secret.SecretName, ""), files(v.Secret.Items, v.Secret.DefaultMode,
				at))
		}},
		{"nfs", v.NFS != nil, unseen},
		{"iscsi", v.ISCSI != nil, unseen},
		{"glusterfs", v.Glusterfs != nil, unseen},
		{"flocker", v.Flocker != nil, unseen},
		{"persistentVolumeClaim", v.PersistentVolumeClaim != nil, func(at *field.Path) field.ErrorList {
			return required(at.Child("claimName"), v.PersistentVolumeClaim.ClaimName, "")
		}},
		{"rbd", v.RBD != nil, unseen},
		{"cinder", v.Cinder != nil, unseen},
		{"cephFS", v.CephFS != nil, unseen},
		{"quobyte", v.Quobyte != nil, unseen},
		{"downwarAPI", v.DownwardAPI != nil, func(*field.Path) field.ErrorList {
			at := at.Child("downwardAPI")
			return concat(fileMode(v.DownwardAPI.DefaultMode, at.Child("defaultMode")), downwardFiles(v.DownwardAPI.Items, at))
		}},
		{"fc", v.FC != nil, unseen},
		{"flexVolume", v.FlexVolume != nil, unseen},
		{"configMap", v.ConfigMap != nil, func(at *field.Path) field.ErrorList {
			return concat(required(at.Child("name"), v.ConfigMap.Name, ""), files(v.ConfigMap.Items, v.ConfigMap.DefaultMode,
				at))
		}},
		{"azureFile", v.AzureFile != nil, unseen},
		{"vsphereVolume", v.VsphereVolume != nil, unseen},
		{"photonPersistentDisk", v.PhotonPersistentDisk != nil, unseen},
		{"portworxVolume", v.PortworxVolume != nil, unseen},
		{"azureDisk", v.AzureDisk != nil, unseen},
		{"storageos", v.StorageOS != nil, unseen},
		{"projected", v.Projected != nil, func(at *field.Path) field.ErrorList { return projected(v.Projected, at) }},
		{"scaleIO", v.ScaleIO != nil, unseen},
		{"csi", v.CSI != nil, unseen},
		{"ephemeral", v.Ephemeral != nil, unseen},
		{"image", v.Image != nil, func(at *field.Path) field.ErrorList {
			return concat(required(at.Child("reference"), v.Image.Reference, ""), pulls(v.Image.PullPolicy,
				at.Child("pullPolicy")))
		}},
	})
}

func emptyDir(e *v1.EmptyDirVolumeSource, at *field.Path) field.ErrorList {
	if e.SizeLimit == nil || e.SizeLimit.Sign() >= 0 {
		return nil
	}
	return field.ErrorList{field.Forbidden(at.Child("sizeLimit"), "must not be negative")}
}

func hostPath(h *v1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	var errs field.ErrorList
	if slices.Contains(strings.Split(h.Path, "/"), "..") {
		errs = append(errs, field.Invalid(at.Child("path"), h.Path, "must not go up with '..'"))
	}
	if h.Type != nil {
		errs = append(errs, oneOf(at.Child("type"), *h.Type, v1.HostPathUnset, v1.HostPathDirectoryOrCreate,
			v1.HostPathDirectory,
			v1.HostPathFileOrCreate, v1.HostPathFile, v1.HostPathSocket, v1.HostPathCharDev, v1.HostPathBlockDev)...)
	}
	return errs
}

func files(items []v1.KeyToPath, mode *int32, at *field.Path) field.ErrorList {
	errs := fileMode(mode, at.Child("defaultMode"))
	for i := range items {
		item := at.Child("items").Index(i)
		errs = append(errs, required(item.Child("key"), items[i].Key, "")...)
		errs = append(errs, filePath(items[i].Path, item.Child("path"))...)
		errs = append(errs, fileMode(items[i].Mode, item.Child("mode"))...)
	}
	return errs
}

// downwardFiles checks the files with fields of the Pod. The paths of errors do not name the file, as upstream's do
// not.
func downwardFiles(items []v1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		errs = concat(errs, filePath(items[i].Path, at.Child("path")), fileMode(items[i].Mode, at.Child("mode")))
		switch {
		case items[i].FieldRef != nil && items[i].ResourceFieldRef != nil:
			errs = append(errs, field.Invalid(at, "resource", "may have one of fieldRef and resourceFieldRef only"))
		case items[i].FieldRef != nil:
			errs = append(errs, fieldRef(items[i].FieldRef, fileFields, at.Child("fieldRef"))...)
		case items[i].ResourceFieldRef == nil:
			errs = append(errs, field.Required(at, "fieldRef or resourceFieldRef"))
		case items[i].ResourceFieldRef.ContainerName == "":
			errs = append(errs, field.Required(at.Child("resourceFieldRef", "containerName"), ""))
		default:
			errs = append(errs, resourceRef(items[i].ResourceFieldRef, at.Child("resourceFieldRef"))...)
		}
	}
	return errs
}

// The limits of the lifetime of a projected token, in seconds.
const (
	minTokenSeconds = 10 * 60
	maxTokenSeconds = 1 << 32
)

func projected(p *v1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	errs := fileMode(p.DefaultMode, at.Child("defaultMode"))
	paths := sets.New[string]()
	for i := range p.Sources {
		errs = append(errs, projection(&p.Sources[i], at, i)...)
		for _, path := range projectedPaths(&p.Sources[i]) {
			if path != "" && paths.Has(path) {
				errs = append(errs, field.Invalid(at, path, "two sources make this file"))
			}
			paths.Insert(path)
		}
	}
	return errs
}

// projection checks the i-th source of a projected volume at the path volume. An error in the path of a token is
// reported for the whole volume, as upstream reports it.
func projection(source *v1.VolumeProjection, volume *field.Path, i int) field.ErrorList {
	at := volume.Child("sources").Index(i)
	var errs field.ErrorList
	if countPointers(source) > 1 {
		errs = append(errs, field.Forbidden(at, "may have one source only"))
	}
	if s := source.Secret; s != nil {
		errs = concat(errs, required(at.Child("secret", "name"), s.Name, ""), files(s.Items, nil, at.Child("secret")))
	}
	if c := source.ConfigMap; c != nil {
		errs = concat(errs, required(at.Child("configMap", "name"), c.Name, ""), files(c.Items, nil, at.Child("configMap")))
	}
	if d := source.DownwardAPI; d != nil {
		errs = append(errs, downwardFiles(d.Items, at.Child("downwardAPI"))...)
	}
	if t := source.ServiceAccountToken; t != nil {
		errs = append(errs, filePath(t.Path, volume.Child("path"))...)
		if s := t.ExpirationSeconds; s != nil && (*s < minTokenSeconds || *s > maxTokenSeconds) {
			errs = append(errs, field.Invalid(at.Child("serviceAccountToken", "expirationSeconds"), *s,
				syntax.InclusiveRangeError(minTokenSeconds, maxTokenSeconds)))
		}
	}
	return errs
}

// projectedPaths returns the file paths that a source names.
func projectedPaths(source *v1.VolumeProjection) []string {
	var paths []string
	add := func(items []v1.KeyToPath) {
		for _, item := range items {
			paths = append(paths, item.Path)
		}
	}
	if source.Secret != nil {
		add(source.Secret.Items)
	}
	if source.ConfigMap != nil {
		add(source.ConfigMap.Items)
	}
	if source.DownwardAPI != nil {
		for _, item := range source.DownwardAPI.Items {
			paths = append(paths, item.Path)
		}
	}
	if source.ClusterTrustBundle != nil {
		paths = append(paths, source.ClusterTrustBundle.Path)
	}
	return paths
}

func fileMode(mode *int32, at *field.Path) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *mode, "must be between 0 and 0777 (octal)")}
}

// filePath checks the path of a file in a volume, which must not leave the volume.
func filePath(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := within(name, at)
	if strings.HasPrefix(name, "..") && !strings.HasPrefix(name, "../") && name != ".." {
		errs = append(errs, field.Invalid(at, name, "must not begin with '..'"))
	}
	return errs
}

// within checks that a path stays in the directory that it is relative to.
func within(name string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(name) {
		errs = append(errs, field.Invalid(at, name, "must be a relative path"))
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		errs = append(errs, field.Invalid(at, name, "must not go up with '..'"))
	}
	return errs
}
