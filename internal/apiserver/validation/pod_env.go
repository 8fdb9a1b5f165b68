package validation

import (
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The fields of a Pod that a variable or a file may be made from.
var (
	envFields = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	fileFields = []string{"metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"}
)

func containerEnv(c *v1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range c.Env {
		errs = append(errs, envVar(&c.Env[i], path.Child("env").Index(i))...)
	}
	for i := range c.EnvFrom {
		errs = append(errs, envFrom(&c.EnvFrom[i], path.Child("envFrom").Index(i))...)
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
		errs = append(errs, required(path.Child("resourceFieldRef", "resource"), ref.Resource, "")...)
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
		required(path.Child("name"), name, ""),
		requiredName(path.Child("key"), key, syntax.IsConfigMapKey),
	)
}

// fieldRef checks a reference to a field of the Pod itself: one of fields, or one label or annotation.
func fieldRef(ref *v1.ObjectFieldSelector, fields []string, path *field.Path) field.ErrorList {
	switch {
	case ref.APIVersion == "":
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	case ref.FieldPath == "":
		return field.ErrorList{field.Required(path.Child("fieldPath"), "")}
	case ref.APIVersion != "v1":
		return field.ErrorList{field.Invalid(path.Child("fieldPath"), ref.FieldPath, "is not a field of a Pod of version "+ref.APIVersion)}
	}
	path = path.Child("fieldPath")
	if container, key, ok := subscript(ref.FieldPath); ok {
		return mapEntry(container, key, ref.FieldPath, path)
	}
	return oneOf(path, ref.FieldPath, slices.Clone(fields)...)
}

// mapEntry checks a reference to one entry of a map in the metadata.
func mapEntry(container, key, whole string, path *field.Path) field.ErrorList {
	switch container {
	case "metadata.labels":
		return invalid(path, key, syntax.IsQualifiedName(key))
	case "metadata.annotations":
		return invalid(path, key, syntax.IsQualifiedName(strings.ToLower(key)))
	}
	return field.ErrorList{field.Invalid(path, whole, "only labels and annotations have entries")}
}

// subscript splits metadata.labels['key'] into the map and the key.
func subscript(path string) (container, key string, ok bool) {
	inner, found := strings.CutSuffix(path, "']")
	if !found {
		return "", "", false
	}
	return strings.Cut(inner, "['")
}

func envFrom(source *v1.EnvFromSource, path *field.Path) field.ErrorList {
	errs := optionalName(path.Child("prefix"), source.Prefix, syntax.IsRelaxedEnvVarName)
	switch {
	case source.ConfigMapRef == nil && source.SecretRef == nil:
		errs = append(errs, field.Invalid(path, "", "must have configMapRef or secretRef"))
	case source.ConfigMapRef != nil && source.SecretRef != nil:
		errs = append(errs, field.Invalid(path, "", "may have one of configMapRef and secretRef only"))
	}
	if source.ConfigMapRef != nil {
		errs = append(errs, required(path.Child("configMapRef", "name"), source.ConfigMapRef.Name, "")...)
	}
	if source.SecretRef != nil {
		errs = append(errs, required(path.Child("secretRef", "name"), source.SecretRef.Name, "")...)
	}
	return errs
}

// sortedNames returns the names of resources in an order that does not vary.
func sortedNames(list v1.ResourceList) []v1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}
