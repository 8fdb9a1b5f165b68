package access

import corev1 "k8s.io/api/core/v1"

// usesSecret says whether a Pod names a Secret: for pulling images, in the environment of a container, or as a volume.
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

// usesConfigMap says whether a Pod names a ConfigMap: in the environment of a container, or as a volume.
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

// anyEnv asks about each source of the environments of all containers, of either sort; the other one is empty.
func anyEnv(pod *corev1.Pod, matches func(*corev1.EnvFromSource, *corev1.EnvVarSource) bool) bool {
	in := func(froms []corev1.EnvFromSource, vars []corev1.EnvVar) bool {
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
	for i := range pod.Spec.InitContainers {
		if in(pod.Spec.InitContainers[i].EnvFrom, pod.Spec.InitContainers[i].Env) {
			return true
		}
	}
	for i := range pod.Spec.Containers {
		if in(pod.Spec.Containers[i].EnvFrom, pod.Spec.Containers[i].Env) {
			return true
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if in(pod.Spec.EphemeralContainers[i].EnvFrom, pod.Spec.EphemeralContainers[i].Env) {
			return true
		}
	}
	return false
}
