package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// envInputs are the inputs of a container's environment. They are not modified.
type envInputs struct {
	Pod        *v1.Pod                  // its status is not read: PodIPs and HostIPs are newer
	Services   []*v1.Service            // of the Pod's namespace and of default; others are ignored
	ConfigMaps map[string]*v1.ConfigMap // of the Pod's namespace, by name; absent means it does not exist
	Secrets    map[string]*v1.Secret    // the same
	PodIPs     []string                 // primary first
	HostIPs    []string                 // primary first
	Node       v1.ResourceList          // allocatable: the limit of a container that names none
}

// environment is a container's variables by name.
type environment map[string]string

// list gives the variables as NAME=value, sorted, so that the same inputs give the same bytes. (In Kubernetes the order
// is random.)
func (e environment) list() []string {
	list := make([]string, 0, len(e))
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

func (e environment) lookup(name string) (string, bool) {
	value, known := e[name]
	return value, known
}

// buildEnvironment computes the variables of container c: envFrom in order, then env in order (each may refer to those
// before it), and the Services' variables where the name is still free. The error names the variable or object that is
// missing; the container must not start then.
func buildEnvironment(in envInputs, c *v1.Container) (environment, error) {
	services, err := serviceVariables(in.Pod, in.Services)
	if err != nil {
		return nil, err
	}
	env := environment{}
	for i := range c.EnvFrom {
		if err := env.addAll(in, &c.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	visible := func(name string) (string, bool) {
		if value, known := env[name]; known {
			return value, true
		}
		value, known := services[name]
		return value, known
	}
	for i := range c.Env {
		if err := env.add(in, c, &c.Env[i], visible); err != nil {
			return nil, err
		}
	}
	for name, value := range services {
		if _, taken := env[name]; !taken {
			env[name] = value
		}
	}
	return env, nil
}

// add sets variable v.
func (e environment) add(in envInputs, c *v1.Container, v *v1.EnvVar, visible func(string) (string, bool)) error {
	if v.Value != "" || v.ValueFrom == nil {
		e[v.Name] = expand(v.Value, visible)
		return nil
	}
	value, found, err := valueFrom(in, c, v.ValueFrom)
	if err != nil {
		return fmt.Errorf("env %s: %w", v.Name, err)
	}
	if found {
		e[v.Name] = value
	}
	return nil
}

// addAll sets a variable for every key of one envFrom source.
func (e environment) addAll(in envInputs, from *v1.EnvFromSource) error {
	switch {
	case from.ConfigMapRef != nil:
		cm := in.ConfigMaps[from.ConfigMapRef.Name]
		if cm == nil {
			return missing("configmap", in.Pod.Namespace, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		}
		addKeys(e, from.Prefix, cm.Data)
	case from.SecretRef != nil:
		secret := in.Secrets[from.SecretRef.Name]
		if secret == nil {
			return missing("secret", in.Pod.Namespace, from.SecretRef.Name, from.SecretRef.Optional)
		}
		addKeys(e, from.Prefix, secret.Data)
	}
	return nil
}

// addKeys sets prefix+key for each key that can be the name of a variable.
func addKeys[V string | []byte](e environment, prefix string, data map[string]V) {
	for key, value := range data { // unordered: each key has a name of its own
		name := prefix + key
		if name != "" && !strings.ContainsAny(name, "=\x00") {
			e[name] = string(value)
		}
	}
}

// valueFrom resolves one source. found is false for an optional source that does not exist: the variable is not set
// then.
func valueFrom(in envInputs, c *v1.Container, src *v1.EnvVarSource) (value string, found bool, err error) {
	switch {
	case src.FieldRef != nil:
		value, err = fieldValue(in, src.FieldRef.FieldPath)
	case src.ResourceFieldRef != nil:
		value, err = resourceValue(in, c, src.ResourceFieldRef)
	case src.ConfigMapKeyRef != nil:
		ref := src.ConfigMapKeyRef
		cm := in.ConfigMaps[ref.Name]
		if cm == nil {
			return "", false, missing("configmap", in.Pod.Namespace, ref.Name, ref.Optional)
		}
		return keyValue(cm.Data, "configmap", ref.Name, ref.Key, ref.Optional)
	case src.SecretKeyRef != nil:
		ref := src.SecretKeyRef
		secret := in.Secrets[ref.Name]
		if secret == nil {
			return "", false, missing("secret", in.Pod.Namespace, ref.Name, ref.Optional)
		}
		return keyValue(secret.Data, "secret", ref.Name, ref.Key, ref.Optional)
	default:
		err = errors.New("valueFrom names no known source")
	}
	return value, err == nil, err
}

func keyValue[V string | []byte](data map[string]V, kind, name, key string, optional *bool) (string, bool, error) {
	value, ok := data[key]
	if !ok && !isTrue(optional) {
		return "", false, fmt.Errorf("%s %q has no key %q", kind, name, key)
	}
	return string(value), ok, nil
}

// missing gives the error for an object that does not exist, or nil if the reference is optional.
func missing(kind, namespace, name string, optional *bool) error {
	if isTrue(optional) {
		return nil
	}
	return fmt.Errorf("%s %q not found in namespace %q", kind, name, namespace)
}

func isTrue(b *bool) bool { return b != nil && *b }

// references lists the names of the ConfigMaps and Secrets that the environment of c refers to; sorted, distinct.
func references(c *v1.Container) (configMaps, secrets []string) {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			configMaps = append(configMaps, from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			secrets = append(secrets, from.SecretRef.Name)
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			continue
		}
		if ref := v.ValueFrom.ConfigMapKeyRef; ref != nil {
			configMaps = append(configMaps, ref.Name)
		}
		if ref := v.ValueFrom.SecretKeyRef; ref != nil {
			secrets = append(secrets, ref.Name)
		}
	}
	slices.Sort(configMaps)
	slices.Sort(secrets)
	return slices.Compact(configMaps), slices.Compact(secrets)
}

// expandAll replaces every $(NAME) of env in each word.
func expandAll(words []string, env environment) []string {
	expanded := make([]string, 0, len(words))
	for _, word := range words {
		expanded = append(expanded, expand(word, env.lookup))
	}
	return expanded
}
