package printers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Namespaces returns the table of namespaces.
func Namespaces() Table[*v1.Namespace] {
	return Table[*v1.Namespace]{
		Columns: []metav1.TableColumnDefinition{Name(), Column("Status", "Whether the namespace is in use or being removed."),
			Age()},
		Cells: func(ns *v1.Namespace, now time.Time) []any {
			return []any{ns.Name, string(ns.Status.Phase), Since(ns.CreationTimestamp.Time, now)}
		},
	}
}

// Nodes returns the table of nodes.
func Nodes() Table[*v1.Node] {
	return Table[*v1.Node]{
		Columns: []metav1.TableColumnDefinition{
			Name(),
			Column("Status", "Whether the node can run Pods, and may be given new ones."),
			Column("Roles", "What the node is for."),
			Age(),
			Column("Version", "The version of the node agent."),
			Wide("Internal-IP", "The node's address inside the cluster."),
			Wide("External-IP", "The node's address for others."),
			Wide("OS-Image", "The operating system."),
			Wide("Kernel-Version", "The kernel."),
			Wide("Container-Runtime", "What runs the containers."),
		},
		Cells: func(node *v1.Node, now time.Time) []any {
			info := node.Status.NodeInfo
			return []any{node.Name, nodeStatus(node), orElse(strings.Join(nodeRoles(node), ","), none),
				Since(node.CreationTimestamp.Time, now), info.KubeletVersion,
				nodeAddress(node, v1.NodeInternalIP), nodeAddress(node, v1.NodeExternalIP),
				orElse(info.OSImage, unknown), orElse(info.KernelVersion, unknown), orElse(info.ContainerRuntimeVersion, unknown)}
		},
	}
}

func nodeStatus(node *v1.Node) string {
	status := "Unknown"
	for _, c := range node.Status.Conditions {
		if c.Type != v1.NodeReady {
			continue
		}
		status = "NotReady"
		if c.Status == v1.ConditionTrue {
			status = "Ready"
		}
	}
	if node.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// nodeRoles returns the roles in a Node's labels, sorted, each once.
func nodeRoles(node *v1.Node) []string {
	var roles []string
	for key, value := range node.Labels {
		role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/")
		if key == "kubernetes.io/role" {
			role, ok = value, true
		}
		if ok && role != "" {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

func nodeAddress(node *v1.Node, kind v1.NodeAddressType) string {
	for _, address := range node.Status.Addresses {
		if address.Type == kind {
			return address.Address
		}
	}
	return none
}

// ConfigMaps returns the table of configmaps.
func ConfigMaps() Table[*v1.ConfigMap] {
	return Table[*v1.ConfigMap]{
		Columns: []metav1.TableColumnDefinition{Name(), Column("Data", "How many values it holds."), Age()},
		Cells: func(cm *v1.ConfigMap, now time.Time) []any {
			return []any{cm.Name, int64(len(cm.Data) + len(cm.BinaryData)), Since(cm.CreationTimestamp.Time, now)}
		},
	}
}

// Secrets returns the table of secrets.
func Secrets() Table[*v1.Secret] {
	return Table[*v1.Secret]{
		Columns: []metav1.TableColumnDefinition{
			Name(), Column("Type", "What kind of secret it is."), Column("Data", "How many values it holds."), Age(),
		},
		Cells: func(secret *v1.Secret, now time.Time) []any {
			return []any{secret.Name, string(secret.Type), int64(len(secret.Data)), Since(secret.CreationTimestamp.Time, now)}
		},
	}
}

// ServiceAccounts returns the table of serviceaccounts.
func ServiceAccounts() Table[*v1.ServiceAccount] {
	return Table[*v1.ServiceAccount]{
		Columns: []metav1.TableColumnDefinition{Name(), Column("Secrets", "How many Secrets it may use."), Age()},
		Cells: func(account *v1.ServiceAccount, now time.Time) []any {
			return []any{account.Name, int64(len(account.Secrets)), Since(account.CreationTimestamp.Time, now)}
		},
	}
}

// Leases returns the table of leases.
func Leases() Table[*coordinationv1.Lease] {
	return Table[*coordinationv1.Lease]{
		Columns: []metav1.TableColumnDefinition{Name(), Column("Holder", "Who holds the lease."), Age()},
		Cells: func(lease *coordinationv1.Lease, now time.Time) []any {
			holder := ""
			if lease.Spec.HolderIdentity != nil {
				holder = *lease.Spec.HolderIdentity
			}
			return []any{lease.Name, holder, Since(lease.CreationTimestamp.Time, now)}
		},
	}
}

// Events returns the table of events.
func Events() Table[*v1.Event] {
	eventName := Name()
	eventName.Priority = 1
	return Table[*v1.Event]{
		Columns: []metav1.TableColumnDefinition{
			Column("Last Seen", "When it happened last."),
			Column("Type", "Normal or Warning."),
			Column("Reason", "What happened, in a word."),
			Column("Object", "What it happened to."),
			Wide("Subobject", "The part of the object that it happened to."),
			Wide("Source", "Who reported it."),
			Column("Message", "What happened."),
			Wide("First Seen", "When it happened first."),
			Wide("Count", "How often it happened."),
			eventName,
		},
		Cells: func(event *v1.Event, now time.Time) []any {
			first, last, count := sightings(event)
			object := strings.ToLower(event.InvolvedObject.Kind)
			if event.InvolvedObject.Name != "" {
				object += "/" + event.InvolvedObject.Name
			}
			return []any{Since(last, now), event.Type, event.Reason, object, event.InvolvedObject.FieldPath, eventSource(event),
				strings.TrimSpace(event.Message), Since(first, now), int64(count), event.Name}
		},
	}
}

// sightings returns when an event was first and last seen and how often. It reads the older fields of an event, or else
// the newer ones.
func sightings(event *v1.Event) (first, last time.Time, count int32) {
	first, last, count = event.FirstTimestamp.Time, event.LastTimestamp.Time, event.Count
	if first.IsZero() {
		first = event.EventTime.Time
	}
	if last.IsZero() {
		last = first
	}
	if event.Series != nil {
		return first, event.Series.LastObservedTime.Time, event.Series.Count
	}
	return first, last, max(count, 1)
}

func eventSource(event *v1.Event) string {
	component := orElse(event.Source.Component, event.ReportingController)
	host := orElse(event.Source.Host, event.ReportingInstance)
	if host == "" {
		return component
	}
	return fmt.Sprintf("%s, %s", component, host)
}
