package access

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// What marks the built-in roles and bindings, and lets somebody keep a change of one.
const (
	labelBootstrapping   = "kubernetes.io/bootstrapping"
	bootstrapping        = "rbac-defaults"
	annotationAutoUpdate = rbacv1.AutoUpdateAnnotationKey // "false" keeps it as it is
)

// Users who have built-in roles.
const (
	userScheduler = "system:kube-scheduler"
	userDelegate  = user.KubeControllerManager // the controllers of this program schedule, too
)

const (
	groupCore           = ""
	groupEvents         = "events.k8s.io"
	groupDiscovery      = "discovery.k8s.io"
	groupCoordination   = "coordination.k8s.io"
	groupNetworking     = "networking.k8s.io"
	groupAuthentication = "authentication.k8s.io"
	groupAuthorization  = "authorization.k8s.io"
)

func read() []string   { return []string{"get", "list", "watch"} }
func follow() []string { return []string{"list", "watch"} }
func change() []string { return []string{"create", "delete", "deletecollection", "patch", "update"} }
func both() []string   { return slices.Concat(read(), change()) }

func on(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
}

func paths(urls ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: urls}
}

func create(group string, resources ...string) rbacv1.PolicyRule {
	return on([]string{"create"}, group, resources...)
}

// recordEvents lets a part report events.
func recordEvents() rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: []string{"create", "patch", "update"}, APIGroups: []string{groupCore, groupEvents},
		Resources: []string{"events"},
	}
}

// builtinRoles are the cluster roles that every cluster has: those of Kubernetes v1.36 that have to do with the kinds
// served here. The rules of admin, edit and view are gathered from the roles that carry their labels.
func builtinRoles() []rbacv1.ClusterRole {
	roles := slices.Concat(roleForPeople(), rolesForAll(), rolesForParts())
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

// into makes r one of those whose rules the role to has.
func into(to string, r rbacv1.ClusterRole) rbacv1.ClusterRole {
	r.Labels = aggregateLabel(to)
	return r
}

// gathered is the role of this name that has the rules of those that are into it.
func gathered(name string) rbacv1.ClusterRole {
	r := role(name)
	r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: aggregateLabel(
		name)}}}
	return r
}

// roleForPeople are the roles that an administrator gives to people, in one namespace or everywhere. Who may edit
// cannot write Endpoints: by them, traffic could be led to what the writer cannot reach (CVE-2021-25740).
func roleForPeople() []rbacv1.ClusterRole {
	return []rbacv1.ClusterRole{
		role("cluster-admin", on([]string{"*"}, "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"},
			NonResourceURLs: []string{"*"}}),
		gathered("admin"),
		into("admin", gathered("edit")),
		into("edit", gathered("view")),
		into("admin", role("system:aggregate-to-admin",
			create(groupAuthorization, "localsubjectaccessreviews"),
			on(both(), rbacv1.GroupName, "rolebindings", "roles"),
		)),
		into("edit", role("system:aggregate-to-edit",
			on(read(), groupCore, "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
			on([]string{"impersonate"}, groupCore, "serviceaccounts"),
			on(change(), groupCore, "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
			create(groupCore, "pods/eviction"),
			on(change(), groupCore, "configmaps", "events", "secrets", "serviceaccounts", "services", "services/proxy"),
			create(groupCore, "serviceaccounts/token"),
			on(both(), groupCoordination, "leases"),
		)),
		into("view", role("system:aggregate-to-view",
			on(read(), groupCore, "configmaps", "endpoints", "pods", "serviceaccounts", "services", "services/status"),
			on(read(), groupCore, "bindings", "events", "namespaces/status", "pods/log", "pods/status"),
			on(read(), groupCore, "namespaces"),
			on(read(), groupDiscovery, "endpointslices"),
		)),
	}
}

// rolesForAll are what everybody, or every user of some sort, may do.
func rolesForAll() []rbacv1.ClusterRole {
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

// rolesForParts are the least that each part of the system can work with. The agents of nodes have none: see Nodes.
func rolesForParts() []rbacv1.ClusterRole {
	return []rbacv1.ClusterRole{
		role("system:kube-controller-manager",
			on(read(), groupCore, "endpoints", "namespaces", "nodes", "pods", "services"),
			on([]string{"create", "delete", "update"}, groupCore, "endpoints"),
			on([]string{"patch"}, groupCore, "services/status"), // whether anybody is behind a Service
			create(groupCore, "endpoints/restricted"),           // it repeats what others were allowed to write
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
			on(follow(), groupCore, "endpoints", "services"),
			on(read(), groupCore, "nodes"),
			on(follow(), groupDiscovery, "endpointslices"),
			on(follow(), groupNetworking, "servicecidrs"),
			recordEvents(),
		),
	}
}

// builtinBindings say who has the built-in roles.
func builtinBindings() []rbacv1.ClusterRoleBinding {
	bindings := []rbacv1.ClusterRoleBinding{
		bindGroups("cluster-admin", user.SystemPrivilegedGroup),
		bindGroups("system:discovery", user.AllAuthenticated),
		bindGroups("system:public-info-viewer", user.AllAuthenticated, user.AllUnauthenticated),
		bindGroups("system:basic-user", user.AllAuthenticated),
		bindGroups("system:monitoring", user.MonitoringGroup),
		bindGroups("system:service-account-issuer-discovery", serviceaccount.AllServiceAccountsGroup),
		bindUser("system:kube-controller-manager", user.KubeControllerManager),
		bindUser("system:kube-scheduler", userScheduler),
		bindUser("system:node-proxier", user.KubeProxy),
	}
	ours := bindUser("system:kube-scheduler", userDelegate)
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

// bindSubjects is the binding that has the name of its role.
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
