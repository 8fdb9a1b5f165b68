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

func namespaces() table[*v1.Namespace] {
	return table[*v1.Namespace]{
		columns: []metav1.TableColumnDefinition{name(), column("Status", "Whether the namespace is in use or being removed."),
			age()},
		cells: func(ns *v1.Namespace, now time.Time) []any {
			return []any{ns.Name, string(ns.Status.Phase), since(ns.CreationTimestamp.Time, now)}
		},
	}
}

func nodes() table[*v1.Node] {
	return table[*v1.Node]{
		columns: []metav1.TableColumnDefinition{
			name(),
			column("Status", "Whether the node can run Pods, and may be given new ones."),
			column("Roles", "What the node is for."),
			age(),
			column("Version", "The version of the node agent."),
			wide("Internal-IP", "The node's address inside the cluster."),
			wide("External-IP", "The node's address for others."),
			wide("OS-Image", "The operating system."),
			wide("Kernel-Version", "The kernel."),
			wide("Container-Runtime", "What runs the containers."),
		},
		cells: func(node *v1.Node, now time.Time) []any {
			info := node.Status.NodeInfo
			return []any{node.Name, nodeStatus(node), orElse(strings.Join(nodeRoles(node), ","), none),
				since(node.CreationTimestamp.Time, now), info.KubeletVersion,
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

// nodeRoles returns what the labels say the node is for, sorted, each once.
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

func configMaps() table[*v1.ConfigMap] {
	return table[*v1.ConfigMap]{
		columns: []metav1.TableColumnDefinition{name(), column("Data", "How many values it holds."), age()},
		cells: func(cm *v1.ConfigMap, now time.Time) []any {
			return []any{cm.Name, int64(len(cm.Data) + len(cm.BinaryData)), since(cm.CreationTimestamp.Time, now)}
		},
	}
}

func secrets() table[*v1.Secret] {
	return table[*v1.Secret]{
		columns: []metav1.TableColumnDefinition{
			name(), column("Type", "What kind of secret it is."), column("Data", "How many values it holds."), age(),
		},
		cells: func(secret *v1.Secret, now time.Time) []any {
			return []any{secret.Name, string(secret.Type), int64(len(secret.Data)), since(secret.CreationTimestamp.Time, now)}
		},
	}
}

func serviceAccounts() table[*v1.ServiceAccount] {
	return table[*v1.ServiceAccount]{
		columns: []metav1.TableColumnDefinition{name(), column("Secrets", "How many Secrets it may use."), age()},
		cells: func(account *v1.ServiceAccount, now time.Time) []any {
			return []any{account.Name, int64(len(account.Secrets)), since(account.CreationTimestamp.Time, now)}
		},
	}
}

func leases() table[*coordinationv1.Lease] {
	return table[*coordinationv1.Lease]{
		columns: []metav1.TableColumnDefinition{name(), column("Holder", "Who holds the lease."), age()},
		cells: func(lease *coordinationv1.Lease, now time.Time) []any {
			holder := ""
			if lease.Spec.HolderIdentity != nil {
				holder = *lease.Spec.HolderIdentity
			}
			return []any{lease.Name, holder, since(lease.CreationTimestamp.Time, now)}
		},
	}
}

func events() table[*v1.Event] {
	eventName := name()
	eventName.Priority = 1
	return table[*v1.Event]{
		columns: []metav1.TableColumnDefinition{
			column("Last Seen", "When it happened last."),
			column("Type", "Normal or Warning."),
			column("Reason", "What happened, in a word."),
			column("Object", "What it happened to."),
			wide("Subobject", "The part of the object that it happened to."),
			wide("Source", "Who reported it."),
			column("Message", "What happened."),
			wide("First Seen", "When it happened first."),
			wide("Count", "How often it happened."),
			eventName,
		},
		cells: func(event *v1.Event, now time.Time) []any {
			first, last, count := sightings(event)
			object := strings.ToLower(event.InvolvedObject.Kind)
			if event.InvolvedObject.Name != "" {
				object += "/" + event.InvolvedObject.Name
			}
			return []any{since(last, now), event.Type, event.Reason, object, event.InvolvedObject.FieldPath, eventSource(event),
				strings.TrimSpace(event.Message), since(first, now), int64(count), event.Name}
		},
	}
}

// sightings says when an event was first and last seen and how often, in the older way of telling or in the newer.
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
