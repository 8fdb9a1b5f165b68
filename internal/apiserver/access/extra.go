package access

import rbacv1 "k8s.io/api/rbac/v1"

// AggregatedInto returns a role whose rules the built-in role to has too: admin, edit or view. It may be given to
// Reconcile as an extra role.
func AggregatedInto(to, name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	r := aggregatedInto(to, role(name, rules...))
	mark(&r.ObjectMeta)
	return r
}

// Read returns the verbs that read objects.
func Read() []string { return read() }

// Write returns the verbs that write objects.
func Write() []string { return write() }

// ReadAndWrite returns the verbs of Read and Write.
func ReadAndWrite() []string { return readWrite() }
