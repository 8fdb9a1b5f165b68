package apiserver

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"viaduct/internal/apiserver/admission"
	"viaduct/internal/apiserver/resource"
)

// admissionChain stands for the plugins until the storages exist that they read.
type admissionChain struct{ admission.Chain }

func (s *Server) newAdmission() admission.Chain {
	stores := s.boot.stores
	return admission.New(admission.Config{
		Authorizer:       s.generic.Authorizer,
		RBAC:             s.roles,
		Namespaces:       resource.Storage[*corev1.Namespace]{Main: stores.namespaces},
		Pods:             resource.Storage[*corev1.Pod]{Main: stores.pods},
		Nodes:            resource.Storage[*corev1.Node]{Main: stores.nodes},
		Accounts:         resource.Storage[*corev1.ServiceAccount]{Main: stores.accounts},
		Roles:            resource.Storage[*rbacv1.Role]{Main: stores.rbac.roles},
		ClusterRoles:     resource.Storage[*rbacv1.ClusterRole]{Main: stores.rbac.clusterRoles},
		AllowExternalIPs: s.options.AllowExternalIPs,
	})
}
