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

// countPointers counts the fields of a struct of pointers that are set. It serves the unions of the API, of which one member must
// be there, and counts members too that this program has never heard of.
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

// podVolumes checks the volumes of a Pod and returns their names.
func podVolumes(volumes []v1.Volume, at *field.Path) (sets.Set[string], field.ErrorList) {
	names := sets.New[string]()
	var errs field.ErrorList
	for i := range volumes {
		name := at.Index(i).Child("name")
		errs = append(errs, requiredName(name, volumes[i].Name, syntax.IsDNS1123Label)...)
		errs = append(errs, distinctName(name, volumes[i].Name, names)...)
		errs = append(errs, volumeSource(&volumes[i].VolumeSource, at.Index(i))...)
	}
	return names, errs
}

func volumeSource(v *v1.VolumeSource, at *field.Path) field.ErrorList {
	switch n := countPointers(v); {
	case n == 0:
		return field.ErrorList{field.Required(at, "a source of the volume")}
	case n > 1:
		return field.ErrorList{field.Forbidden(at, "may have one source only")}
	case v.EmptyDir != nil:
		if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Sign() < 0 {
			return field.ErrorList{field.Forbidden(at.Child("emptyDir", "sizeLimit"), "must not be negative")}
		}
	case v.HostPath != nil:
		return hostPath(v.HostPath, at.Child("hostPath"))
	case v.Secret != nil:
		return concat(required(at.Child("secret", "secretName"), v.Secret.SecretName, ""),
			files(v.Secret.Items, v.Secret.DefaultMode, at.Child("secret")))
	case v.ConfigMap != nil:
		return concat(required(at.Child("configMap", "name"), v.ConfigMap.Name, ""),
			files(v.ConfigMap.Items, v.ConfigMap.DefaultMode, at.Child("configMap")))
	case v.DownwardAPI != nil:
		return concat(fileMode(v.DownwardAPI.DefaultMode, at.Child("downwardAPI", "defaultMode")),
			downwardFiles(v.DownwardAPI.Items, at.Child("downwardAPI")))
	case v.Projected != nil:
		return projected(v.Projected, at.Child("projected"))
	case v.PersistentVolumeClaim != nil:
		return required(at.Child("persistentVolumeClaim", "claimName"), v.PersistentVolumeClaim.ClaimName, "")
	}
	return nil
}

func hostPath(h *v1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	errs := required(at.Child("path"), h.Path, "")
	if slices.Contains(strings.Split(h.Path, "/"), "..") {
		errs = append(errs, field.Invalid(at.Child("path"), h.Path, "must not go up with '..'"))
	}
	if h.Type != nil {
		errs = append(errs, oneOf(at.Child("type"), *h.Type, v1.HostPathUnset, v1.HostPathDirectoryOrCreate, v1.HostPathDirectory,
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

func downwardFiles(items []v1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		item := at.Child("items").Index(i)
		errs = append(errs, filePath(items[i].Path, item.Child("path"))...)
		errs = append(errs, fileMode(items[i].Mode, item.Child("mode"))...)
		switch {
		case items[i].FieldRef != nil && items[i].ResourceFieldRef != nil:
			errs = append(errs, field.Invalid(item, "resource", "may have one of fieldRef and resourceFieldRef only"))
		case items[i].FieldRef != nil:
			errs = append(errs, fieldRef(items[i].FieldRef, fileFields, item.Child("fieldRef"))...)
		case items[i].ResourceFieldRef == nil:
			errs = append(errs, field.Required(item, "fieldRef or resourceFieldRef"))
		}
	}
	return errs
}

func projected(p *v1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	errs := fileMode(p.DefaultMode, at.Child("defaultMode"))
	for i := range p.Sources {
		source, at := &p.Sources[i], at.Child("sources").Index(i)
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
			errs = append(errs, required(at.Child("serviceAccountToken", "path"), t.Path, "")...)
		}
	}
	return errs
}

func fileMode(mode *int32, at *field.Path) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *mode, "must be between 0 and 0777 (octal)")}
}

// filePath checks the name of a file within a volume: it must stay within.
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

// within checks a path that may not leave the directory it is relative to.
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

func volumeMounts(mounts []v1.VolumeMount, volumes sets.Set[string], at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := sets.New[string]()
	for i := range mounts {
		errs = append(errs, volumeMount(&mounts[i], volumes, at.Index(i))...)
		if paths.Has(mounts[i].MountPath) {
			errs = append(errs, field.Invalid(at.Index(i).Child("mountPath"), mounts[i].MountPath, "another volume is mounted there"))
		}
		paths.Insert(mounts[i].MountPath)
	}
	return errs
}

func volumeMount(m *v1.VolumeMount, volumes sets.Set[string], at *field.Path) field.ErrorList {
	errs := concat(
		required(at.Child("name"), m.Name, ""),
		required(at.Child("mountPath"), m.MountPath, ""),
		within(m.SubPath, at.Child("subPath")),
		within(m.SubPathExpr, at.Child("subPathExpr")),
	)
	if m.Name != "" && !volumes.Has(m.Name) {
		errs = append(errs, field.NotFound(at.Child("name"), m.Name))
	}
	if m.SubPath != "" && m.SubPathExpr != "" {
		errs = append(errs, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "may not be set when subPath is"))
	}
	return errs
}
