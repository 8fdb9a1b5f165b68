package access

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// The label of the built-in roles and bindings, and the annotation that turns their reconciliation off.
const (
	labelBootstrapping   = "kubernetes.io/bootstrapping"
	bootstrapping        = "rbac-defaults"
	annotationAutoUpdate = rbacv1.AutoUpdateAnnotationKey // "false" turns reconciliation off
)

// userController is bound to the scheduler's role too, since the controllers of this program bind Pods to nodes.
const userController = user.KubeControllerManager

const (
	groupCore           = ""
	groupEvents         = "events.k8s.io"
	groupDiscovery      = "discovery.k8s.io"
	groupCoordination   = "coordination.k8s.io"
	groupNetworking     = "networking.k8s.io"
	groupAuthentication = "authentication.k8s.io"
	groupAuthorization  = "authorization.k8s.io"
)

func read() []string      { return []string{"get", "list", "watch"} }
func listWatch() []string { return []string{"list", "watch"} }
func write() []string     { return []string{"create", "delete", "deletecollection", "patch", "update"} }
func readWrite() []string { return slices.Concat(read(), write()) }

func on(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
}

func paths(urls ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: urls}
}

func create(group string, resources ...string) rbacv1.PolicyRule {
	return on([]string{"create"}, group, resources...)
}

// recordEvents is the rule that lets a component write events.
func recordEvents() rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: []string{"create", "patch", "update"}, APIGroups: []string{groupCore, groupEvents},
		Resources: []string{"events"},
	}
}

// builtinRoles are the cluster roles of Kubernetes v1.36 (bootstrappolicy/policy.go), without the rules for kinds
// that are not served here. The rules of admin, edit and view are aggregated from the roles that carry their labels.
func builtinRoles() []rbacv1.ClusterRole {
	roles := slices.Concat(rolesForUsers(), rolesForEveryone(), rolesForComponents())
	for i := range roles {
		mark(&roles[i].ObjectMeta)
	}
	return roles
}

func mark(meta *metav1.ObjectMeta) {
	if meta.Labels == nil {
		meta.Labels = map[string]string{}
	}
	meta.Labels[labelBootstrapping] = bootstrapping
	meta.Annotations = map[string]string{annotationAutoUpdate: "true"}
}

func role(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func aggregateLabel(to string) map[string]string {
	return map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + to: "true"}
}

// aggregatedInto labels r so that the role to includes its rules.
func aggregatedInto(to string, r rbacv1.ClusterRole) rbacv1.ClusterRole {
	r.Labels = aggregateLabel(to)
	return r
}

// aggregated returns the role of this name, whose rules are those of the roles labelled for it.
func aggregated(name string) rbacv1.ClusterRole {
	r := role(name)
	r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: aggregateLabel(
		name)}}}
	return r
}

// rolesForUsers are the roles that an administrator gives to users, in one namespace or everywhere. The role edit
// cannot write Endpoints: a user could direct traffic to addresses that the user cannot reach (CVE-2021-25740).
func rolesForUsers() []rbacv1.ClusterRole {
	return []rbacv1.ClusterRole{
		role("cluster-admin", on([]string{"*"}, "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"},
			NonResourceURLs: []string{"*"}}),
		aggregated("admin"),
		aggregatedInto("admin", aggregated("edit")),
		aggregatedInto("edit", aggregated("view")),
		aggregatedInto("admin", role("system:aggregate-to-admin",
			create(groupAuthorization, "localsubjectaccessreviews"),
			on(readWrite(), rbacv1.GroupName, "rolebindings", "roles"),
		)),
		aggregatedInto("edit", role("system:aggregate-to-edit",
			on(read(), groupCore, "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
			on([]string{"impersonate"}, groupCore, "serviceaccounts"),
			on(write(), groupCore, "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
			create(groupCore, "pods/eviction"),
			on(write(), groupCore, "configmaps", "events", "secrets", "serviceaccounts", "services", "services/proxy"),
			create(groupCore, "serviceaccounts/token"),
			on(readWrite(), groupCoordination, "leases"),
		)),
		aggregatedInto("view", role("system:aggregate-to-view",
			on(read(), groupCore, "configmaps", "endpoints", "pods", "serviceaccounts", "services", "services/status"),
			on(read(), groupCore, "bindings", "events", "namespaces/status", "pods/log", "pods/status"),
			on(read(), groupCore, "namespaces"),
			on(read(), groupDiscovery, "endpointslices"),
		)),
	}
}

// rolesForEveryone are the roles of all users, of all authenticated users, or of a whole group of them.
func rolesForEveryone() []rbacv1.ClusterRole {
	return []rbacv1.ClusterRole{
		role("system:discovery", paths("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
			"/readyz", "/version", "/version/")),
		role("system:public-info-viewer", paths("/healthz", "/livez", "/readyz", "/version", "/version/")),
		role("system:basic-user",
			create(groupAuthorization, "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
			create(groupAuthentication, "selfsubjectreviews")),
		role("system:monitoring", paths("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis",
			"/readyz", "/readyz/*")),
		role("system:auth-delegator",
			create(groupAuthentication, "tokenreviews"), create(groupAuthorization, "subjectaccessreviews")),
		role("system:service-account-issuer-discovery", paths("/.well-known/openid-configuration",
			"/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/")),
	}
}

// rolesForComponents are the least permissions that each component works with. The agents of nodes have no role: see
// Nodes.
func rolesForComponents() []rbacv1.ClusterRole {
	return []rbacv1.ClusterRole{
		role("system:kube-controller-manager",
			on(read(), groupCore, "endpoints", "namespaces", "nodes", "pods", "services"),
			on([]string{"create", "delete", "update"}, groupCore, "endpoints"),
			on([]string{"patch"}, groupCore, "services/status"), // the condition that says whether a Service has endpoints
			// mirrored slices repeat addresses that their authors were allowed to write
			create(groupCore, "endpoints/restricted"),
			on(read(), groupDiscovery, "endpointslices"),
			on([]string{"create", "delete", "update"}, groupDiscovery, "endpointslices"),
			on([]string{"create", "get", "list", "update", "watch"}, groupCoordination, "leases"),
			create(groupAuthentication, "tokenreviews"), create(groupAuthorization, "subjectaccessreviews"),
			recordEvents(),
		),
		role("system:kube-scheduler",
			on(read(), groupCore, "namespaces", "nodes", "pods", "services"),
			create(groupCore, "pods/binding"),
			on([]string{"patch", "update"}, groupCore, "pods/status"),
			recordEvents(),
		),
		role("system:node-proxier",
			on(listWatch(), groupCore, "endpoints", "services"),
			on(read(), groupCore, "nodes"),
			on(listWatch(), groupDiscovery, "endpointslices"),
			on(listWatch(), groupNetworking, "servicecidrs"),
			recordEvents(),
		),
	}
}

// builtinBindings bind the built-in roles to users and groups.
func builtinBindings() []rbacv1.ClusterRoleBinding {
	bindings := []rbacv1.ClusterRoleBinding{
		bindGroups("cluster-admin", user.SystemPrivilegedGroup),
		bindGroups("system:discovery", user.AllAuthenticated),
		bindGroups("system:public-info-viewer", user.AllAuthenticated, user.AllUnauthenticated),
		bindGroups("system:basic-user", user.AllAuthenticated),
		bindGroups("system:monitoring", user.MonitoringGroup),
		bindGroups("system:service-account-issuer-discovery", serviceaccount.AllServiceAccountsGroup),
		bindUser("system:kube-controller-manager", user.KubeControllerManager),
		bindUser("system:kube-scheduler", user.KubeScheduler),
		bindUser("system:node-proxier", user.KubeProxy),
	}
	ours := bindUser("system:kube-scheduler", userController)
	ours.Name = "viaduct:scheduler"
	bindings = append(bindings, ours)
	for i := range bindings {
		mark(&bindings[i].ObjectMeta)
	}
	return bindings
}

func bindGroups(role string, names ...string) rbacv1.ClusterRoleBinding {
	return bindSubjects(role, rbacv1.GroupKind, names)
}

func bindUser(role, name string) rbacv1.ClusterRoleBinding {
	return bindSubjects(role, rbacv1.UserKind, []string{name})
}

// bindSubjects returns a binding that has the name of its role.
func bindSubjects(role, kind string, names []string) rbacv1.ClusterRoleBinding {
	b := rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}
	for _, name := range names {
		b.Subjects = append(b.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: kind, Name: name})
	}
	return b
}
