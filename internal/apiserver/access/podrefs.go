package access

import corev1 "k8s.io/api/core/v1"

// usesSecret reports whether a Pod refers to a Secret: to pull images, in the environment of a container, or as a
// volume.
func usesSecret(pod *corev1.Pod, name string) bool {
	for _, ref := range pod.Spec.ImagePullSecrets {
		if ref.Name == name {
			return true
		}
	}
	for i := range pod.Spec.Volumes {
		if volumeUsesSecret(&pod.Spec.Volumes[i].VolumeSource, name) {
			return true
		}
	}
	return anyEnv(pod, func(from *corev1.EnvFromSource, value *corev1.EnvVarSource) bool {
		return from.SecretRef != nil && from.SecretRef.Name == name || value.SecretKeyRef != nil &&
			value.SecretKeyRef.Name == name
	})
}

func volumeUsesSecret(v *corev1.VolumeSource, name string) bool {
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.Secret != nil && source.Secret.Name == name {
				return true
			}
		}
	}
	return v.Secret != nil && v.Secret.SecretName == name ||
		v.CSI != nil && v.CSI.NodePublishSecretRef != nil && v.CSI.NodePublishSecretRef.Name == name
}

// usesConfigMap reports whether a Pod refers to a ConfigMap: in the environment of a container, or as a volume.
func usesConfigMap(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.Volumes {
		if volumeUsesConfigMap(&pod.Spec.Volumes[i].VolumeSource, name) {
			return true
		}
	}
	return anyEnv(pod, func(from *corev1.EnvFromSource, value *corev1.EnvVarSource) bool {
		return from.ConfigMapRef != nil && from.ConfigMapRef.Name == name || value.ConfigMapKeyRef != nil &&
			value.ConfigMapKeyRef.Name == name
	})
}

func volumeUsesConfigMap(v *corev1.VolumeSource, name string) bool {
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.ConfigMap != nil && source.ConfigMap.Name == name {
				return true
			}
		}
	}
	return v.ConfigMap != nil && v.ConfigMap.Name == name
}

// anyEnv reports whether matches accepts a source of the environment of any container. It passes either an
// EnvFromSource or an EnvVarSource; the other one is empty.
func anyEnv(pod *corev1.Pod, matches func(*corev1.EnvFromSource, *corev1.EnvVarSource) bool) bool {
	spec := &pod.Spec
	for i := range spec.InitContainers {
		if envMatches(spec.InitContainers[i].EnvFrom, spec.InitContainers[i].Env, matches) {
			return true
		}
	}
	for i := range spec.Containers {
		if envMatches(spec.Containers[i].EnvFrom, spec.Containers[i].Env, matches) {
			return true
		}
	}
	for i := range spec.EphemeralContainers {
		if envMatches(spec.EphemeralContainers[i].EnvFrom, spec.EphemeralContainers[i].Env, matches) {
			return true
		}
	}
	return false
}

func envMatches(froms []corev1.EnvFromSource, vars []corev1.EnvVar,
	matches func(*corev1.EnvFromSource, *corev1.EnvVarSource) bool) bool {
	for i := range froms {
		if matches(&froms[i], &corev1.EnvVarSource{}) {
			return true
		}
	}
	for i := range vars {
		if vars[i].ValueFrom != nil && matches(&corev1.EnvFromSource{}, vars[i].ValueFrom) {
			return true
		}
	}
	return false
}
