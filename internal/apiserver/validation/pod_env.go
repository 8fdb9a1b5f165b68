package validation

import (
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The fields of a Pod that a variable or a file may refer to.
var (
	envFields = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	fileFields = []string{"metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"}
	// podFields are all of them; not every one can be used everywhere.
	podFields = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
		"spec.nodeName",
		"spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName", "status.phase", "status.hostIP",
		"status.hostIPs",
		"status.podIP", "status.podIPs"}
)

// The resources of a container that a variable or a file may refer to, and their units.
var (
	resourceFields = []string{"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory",
		"requests.ephemeral-storage"}
	cpuUnits  = []string{"1m", "1"}
	byteUnits = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
)

func containerEnv(c *v1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range c.Env {
		errs = append(errs, envVar(&c.Env[i], path.Child("env").Index(i))...)
	}
	for i := range c.EnvFrom {
		errs = append(errs, envFrom(&c.EnvFrom[i], path.Child("envFrom"), i)...)
	}
	return errs
}

func envVar(env *v1.EnvVar, path *field.Path) field.ErrorList {
	errs := requiredName(path.Child("name"), env.Name, syntax.IsRelaxedEnvVarName)
	if env.ValueFrom == nil {
		return errs
	}
	path = path.Child("valueFrom")
	switch sources := countPointers(env.ValueFrom); {
	case sources == 0:
		errs = append(errs, field.Invalid(path, "", "must name a source"))
	case env.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be set when value is"))
	case sources > 1:
		errs = append(errs, field.Invalid(path, "", "may name one source only"))
	}
	return append(errs, envSource(env.ValueFrom, path)...)
}

func envSource(source *v1.EnvVarSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ref := source.FieldRef; ref != nil {
		errs = append(errs, fieldRef(ref, envFields, path.Child("fieldRef"))...)
	}
	if ref := source.ResourceFieldRef; ref != nil {
		errs = append(errs, resourceRef(ref, path.Child("resourceFieldRef"))...)
	}
	if ref := source.ConfigMapKeyRef; ref != nil {
		errs = append(errs, keyRef(ref.Name, ref.Key, path.Child("configMapKeyRef"))...)
	}
	if ref := source.SecretKeyRef; ref != nil {
		errs = append(errs, keyRef(ref.Name, ref.Key, path.Child("secretKeyRef"))...)
	}
	return errs
}

func keyRef(name, key string, path *field.Path) field.ErrorList {
	return concat(
		invalid(path.Child("name"), name, isSubdomain(name)),
		requiredName(path.Child("key"), key, syntax.IsConfigMapKey),
	)
}

// resourceRef checks a reference to a request or limit of a container.
func resourceRef(ref *v1.ResourceFieldSelector, path *field.Path) field.ErrorList {
	bytes := strings.HasPrefix(ref.Resource, "limits.hugepages-") || strings.HasPrefix(ref.Resource, "requests.hugepages-")
	var errs field.ErrorList
	switch {
	case ref.Resource == "":
		return field.ErrorList{field.Required(path.Child("resource"), "")}
	case !bytes:
		errs = oneOf(path.Child("resource"), ref.Resource, slices.Clone(resourceFields)...)
	}
	units := byteUnits
	if strings.HasSuffix(ref.Resource, ".cpu") {
		units = cpuUnits
	}
	if len(errs) == 0 && !ref.Divisor.IsZero() && !slices.Contains(units, ref.Divisor.String()) {
		errs = append(errs, field.Invalid(path.Child("divisor"), ref.Divisor.String(), "must be one of "+strings.Join(units,
			", ")))
	}
	return errs
}

// fieldRef checks a reference to a field of the Pod: one of fields, or one label or annotation.
func fieldRef(ref *v1.ObjectFieldSelector, fields []string, path *field.Path) field.ErrorList {
	switch {
	case ref.APIVersion == "":
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	case ref.FieldPath == "":
		return field.ErrorList{field.Required(path.Child("fieldPath"), "")}
	case ref.APIVersion != "v1":
		return field.ErrorList{field.Invalid(path.Child("fieldPath"), ref.FieldPath,
			"is not a field of a Pod of version "+ref.APIVersion)}
	}
	if container, key, ok := subscript(ref.FieldPath); ok {
		return mapEntry(container, key, ref.FieldPath, path)
	}
	path = path.Child("fieldPath")
	if !slices.Contains(podFields, ref.FieldPath) {
		return field.ErrorList{field.Invalid(path, ref.FieldPath, "is no field that can be named")}
	}
	return oneOf(path, ref.FieldPath, slices.Clone(fields)...)
}

// mapEntry checks a reference to one label or annotation. An error about the key names the whole reference, as
// upstream reports it.
func mapEntry(container, key, whole string, path *field.Path) field.ErrorList {
	switch container {
	case "metadata.labels":
		return invalid(path, key, syntax.IsQualifiedName(key))
	case "metadata.annotations":
		return invalid(path, key, syntax.IsQualifiedName(strings.ToLower(key)))
	}
	return field.ErrorList{field.Invalid(path.Child("fieldPath"), whole, "only labels and annotations have entries")}
}

// subscript splits metadata.labels['key'] into the map and the key.
func subscript(path string) (container, key string, ok bool) {
	inner, found := strings.CutSuffix(path, "']")
	if !found {
		return "", "", false
	}
	return strings.Cut(inner, "['")
}

// envFrom checks one source of variables. list is the path of all sources; a wrong number of references is reported
// for the list, as upstream reports it.
func envFrom(source *v1.EnvFromSource, list *field.Path, i int) field.ErrorList {
	path := list.Index(i)
	errs := optionalName(path.Child("prefix"), source.Prefix, syntax.IsRelaxedEnvVarName)
	switch {
	case source.ConfigMapRef == nil && source.SecretRef == nil:
		errs = append(errs, field.Invalid(list, "", "must have configMapRef or secretRef"))
	case source.ConfigMapRef != nil && source.SecretRef != nil:
		errs = append(errs, field.Invalid(list, "", "may have one of configMapRef and secretRef only"))
	}
	if source.ConfigMapRef != nil {
		errs = append(errs, requiredName(path.Child("configMapRef", "name"), source.ConfigMapRef.Name, isSubdomain)...)
	}
	if source.SecretRef != nil {
		errs = append(errs, requiredName(path.Child("secretRef", "name"), source.SecretRef.Name, isSubdomain)...)
	}
	return errs
}

// sortedNames returns the names of resources in a fixed order.
func sortedNames(list v1.ResourceList) []v1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}
