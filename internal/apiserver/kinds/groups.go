package kinds

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"viaduct/internal/apiserver/resource"
)

// The API groups of these kinds.
var (
	coreGroup         = resource.Group{Version: corev1.SchemeGroupVersion, AddToScheme: corev1.AddToScheme}
	discoveryGroup    = resource.Group{Version: discoveryv1.SchemeGroupVersion, AddToScheme: discoveryv1.AddToScheme}
	coordinationGroup = resource.Group{Version: coordinationv1.SchemeGroupVersion,
		AddToScheme: coordinationv1.AddToScheme}
	networkingGroup = resource.Group{Version: networkingv1.SchemeGroupVersion, AddToScheme: networkingv1.AddToScheme}
	rbacGroup       = resource.Group{Version: rbacv1.SchemeGroupVersion, AddToScheme: rbacv1.AddToScheme}
)
