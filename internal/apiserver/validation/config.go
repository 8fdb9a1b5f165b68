package validation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxConfigBytes is the largest sum of the values of a ConfigMap or a Secret: 1 MiB.
const maxConfigBytes = v1.MaxSecretSize

const immutableConfig = "the object is marked immutable"

// ValidateConfigMap checks a new ConfigMap: the syntax of its keys, that no key is in both maps, and its size.
func ValidateConfigMap(cm *v1.ConfigMap) field.ErrorList {
	return concat(newMeta(&cm.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain), configMapData(cm))
}

// ValidateConfigMapUpdate checks the change from old to cm. An immutable ConfigMap keeps its data and stays
// immutable.
func ValidateConfigMapUpdate(cm, old *v1.ConfigMap) field.ErrorList {
	errs := changedMeta(&cm.ObjectMeta, &old.ObjectMeta)
	if isTrue(old.Immutable) {
		errs = concat(errs,
			frozenFlag(cm.Immutable),
			frozen(field.NewPath("data"), cm.Data, old.Data),
			frozen(field.NewPath("binaryData"), cm.BinaryData, old.BinaryData),
		)
	}
	return append(errs, configMapData(cm)...)
}

func isTrue(flag *bool) bool { return flag != nil && *flag }

func frozenFlag(flag *bool) field.ErrorList {
	if isTrue(flag) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("immutable"), immutableConfig)}
}

func frozen(path *field.Path, now, before any) field.ErrorList {
	if apiequality.Semantic.DeepEqual(now, before) {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, immutableConfig)}
}

func configMapData(cm *v1.ConfigMap) field.ErrorList {
	var errs field.ErrorList
	size := 0
	for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
		path := field.NewPath("data").Key(key)
		errs = append(errs, invalid(path, key, syntax.IsConfigMapKey(key))...)
		if _, both := cm.BinaryData[key]; both {
			errs = append(errs, field.Invalid(path, key, "is a key of binaryData too"))
		}
		size += len(cm.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(cm.BinaryData)) {
		errs = append(errs, invalid(field.NewPath("binaryData").Key(key), key, syntax.IsConfigMapKey(key))...)
		size += len(cm.BinaryData[key])
	}
	if size > maxConfigBytes {
		// the path is that of the whole object and prints as [], as upstream's does
		errs = append(errs, field.TooLong(field.NewPath(""), "", maxConfigBytes))
	}
	return errs
}

// DefaultSecret sets the type Opaque if there is none. (The storage strategy moves stringData to data.)
func DefaultSecret(secret *v1.Secret) { defaultTo(&secret.Type, v1.SecretTypeOpaque) }

// ValidateSecret checks a new Secret: its keys, its size, and the keys that its type requires.
func ValidateSecret(secret *v1.Secret) field.ErrorList {
	return concat(newMeta(&secret.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain), secretData(secret))
}

// ValidateSecretUpdate checks the change from old to secret. The type cannot change, and an immutable Secret keeps
// its data.
func ValidateSecretUpdate(secret, old *v1.Secret) field.ErrorList {
	errs := concat(
		changedMeta(&secret.ObjectMeta, &old.ObjectMeta),
		immutable(field.NewPath("type"), secret.Type, old.Type),
	)
	if isTrue(old.Immutable) {
		errs = concat(errs, frozenFlag(secret.Immutable), frozen(field.NewPath("data"), secret.Data, old.Data))
	}
	return append(errs, secretData(secret)...)
}

func secretData(secret *v1.Secret) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("data")
	size := 0
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		errs = append(errs, invalid(path.Key(key), key, syntax.IsConfigMapKey(key))...)
		size += len(secret.Data[key])
	}
	if size > maxConfigBytes {
		errs = append(errs, field.TooLong(path, "", maxConfigBytes))
	}
	return append(errs, secretType(secret, path)...)
}

// secretType checks the keys that the well-known types require. Other types are not checked.
func secretType(secret *v1.Secret, path *field.Path) field.ErrorList {
	switch secret.Type {
	case v1.SecretTypeServiceAccountToken:
		account := field.NewPath("metadata", "annotations").Key(v1.ServiceAccountNameKey)
		return required(account, secret.Annotations[v1.ServiceAccountNameKey], "")
	case v1.SecretTypeDockercfg:
		return jsonKey(secret.Data, v1.DockerConfigKey, path)
	case v1.SecretTypeDockerConfigJson:
		return jsonKey(secret.Data, v1.DockerConfigJsonKey, path)
	case v1.SecretTypeBasicAuth:
		if hasKey(secret.Data, v1.BasicAuthUsernameKey) || hasKey(secret.Data, v1.BasicAuthPasswordKey) {
			return nil
		}
		return append(wantKey(secret.Data, v1.BasicAuthUsernameKey, path), wantKey(secret.Data, v1.BasicAuthPasswordKey,
			path)...)
	case v1.SecretTypeSSHAuth:
		if len(secret.Data[v1.SSHAuthPrivateKey]) == 0 {
			return field.ErrorList{field.Required(path.Key(v1.SSHAuthPrivateKey), "")}
		}
	case v1.SecretTypeTLS:
		return append(wantKey(secret.Data, v1.TLSCertKey, path), wantKey(secret.Data, v1.TLSPrivateKeyKey, path)...)
	}
	return nil
}

func hasKey(data map[string][]byte, key string) bool {
	_, ok := data[key]
	return ok
}

func wantKey(data map[string][]byte, key string, path *field.Path) field.ErrorList {
	if hasKey(data, key) {
		return nil
	}
	return field.ErrorList{field.Required(path.Key(key), "")}
}

// jsonKey checks that a key exists and holds a JSON object. The error does not repeat the value, which is secret.
func jsonKey(data map[string][]byte, key string, path *field.Path) field.ErrorList {
	if !hasKey(data, key) {
		return wantKey(data, key, path)
	}
	var object map[string]any
	if err := json.Unmarshal(data[key], &object); err != nil {
		return field.ErrorList{field.Invalid(path.Key(key), "<secret contents redacted>",
			fmt.Sprintf("must be a JSON object: %T", err))}
	}
	return nil
}
