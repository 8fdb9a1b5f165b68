package lifecycle

import (
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// graph holds the owner references of all objects. Most objects neither have an owner nor wait for dependents; the
// graph keeps only the location of those.
type graph struct {
	mu         sync.Mutex // guards the fields below
	live       map[types.UID]location
	nodes      map[types.UID]*node
	dependents map[types.UID]map[types.UID]bool // by owner, which may not exist
}

// location is the resource and the namespace of an object.
type location struct {
	resource  *Resource
	namespace string
}

// node is an object that has owners, or that waits for its dependents before it ends.
type node struct {
	location
	uid      types.UID
	name     string
	owners   []metav1.OwnerReference
	deleting bool
	// Set while the object is being deleted: its dependents must be deleted first, or must be released first.
	foreground, orphan bool
}

func newGraph() *graph {
	return &graph{live: map[types.UID]location{}, nodes: map[types.UID]*node{},
		dependents: map[types.UID]map[types.UID]bool{}}
}

// waits reports whether the object is being deleted and waits for its dependents.
func (n *node) waits() bool { return n != nil && n.deleting && n.foreground }

// nodeOf returns nil for an object that needs no node.
func nodeOf(r *Resource, obj metav1.Object) *node {
	deleting := obj.GetDeletionTimestamp() != nil
	n := &node{
		location: location{r, obj.GetNamespace()}, uid: obj.GetUID(), name: obj.GetName(), owners: obj.GetOwnerReferences(),
		deleting:   deleting,
		foreground: deleting && slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents),
		orphan:     deleting && slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents),
	}
	if len(n.owners) == 0 && !n.foreground && !n.orphan {
		return nil
	}
	return n
}

// set records the current state of obj and returns the objects that sync must visit.
func (g *graph) set(r *Resource, obj metav1.Object) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	uid := obj.GetUID()
	g.live[uid] = location{r, obj.GetNamespace()}
	before, now := g.nodes[uid], nodeOf(r, obj)
	affected := g.relink(uid, before, now)
	if now != nil && (now.foreground || now.orphan || g.lacksOwner(now)) {
		affected = append(affected, uid)
	}
	return affected
}

// relink replaces the node of an object and returns the owners that wait for the object. before and now may be nil.
func (g *graph) relink(uid types.UID, before, now *node) []types.UID {
	var waiting []types.UID
	if before != nil {
		for _, owner := range before.owners {
			delete(g.dependents[owner.UID], uid)
			if len(g.dependents[owner.UID]) == 0 {
				delete(g.dependents, owner.UID)
			}
			if g.nodes[owner.UID].waits() {
				waiting = append(waiting, owner.UID)
			}
		}
	}
	delete(g.nodes, uid)
	if now == nil {
		return waiting
	}
	g.nodes[uid] = now
	for _, owner := range now.owners {
		if g.dependents[owner.UID] == nil {
			g.dependents[owner.UID] = map[types.UID]bool{}
		}
		g.dependents[owner.UID][uid] = true
	}
	return waiting
}

// lacksOwner reports whether an owner of n does not exist where the reference says, or waits for n to end.
func (g *graph) lacksOwner(n *node) bool {
	return slices.ContainsFunc(n.owners, func(ref metav1.OwnerReference) bool {
		at, ok := g.live[ref.UID]
		return !ok || !at.matches(n, ref) || g.nodes[ref.UID].waits()
	})
}

// matches reports whether an object at p can be the owner that n refers to by ref.
func (p location) matches(n *node, ref metav1.OwnerReference) bool {
	return p.resource.is(ref) && (!p.resource.Namespaced || p.namespace == n.namespace)
}

// remove forgets a deleted object and returns the objects that sync must visit: its dependents, and owners that
// waited for it.
func (g *graph) remove(uid types.UID) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.live, uid)
	affected := g.relink(uid, g.nodes[uid], nil)
	return slices.AppendSeq(affected, maps.Keys(g.dependents[uid]))
}

// missing lists the objects of r that the graph knows and that do not exist any more.
func (g *graph) missing(r *Resource, exist map[types.UID]bool) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var gone []types.UID
	for uid, at := range g.live {
		if at.resource == r && !exist[uid] {
			gone = append(gone, uid)
		}
	}
	return gone
}

// node returns nil if there is no node of that UID. Nodes are never changed, only replaced.
func (g *graph) node(uid types.UID) *node {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nodes[uid]
}

func (g *graph) locate(uid types.UID) (location, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.live[uid]
	return at, ok
}

// dependentsOf lists the objects that name uid as an owner.
func (g *graph) dependentsOf(uid types.UID) []*node {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*node
	for d := range g.dependents[uid] {
		list = append(list, g.nodes[d])
	}
	return list
}
