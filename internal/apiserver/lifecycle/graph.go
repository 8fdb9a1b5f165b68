package lifecycle

import (
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// graph is who owns whom. Most objects neither have an owner nor wait for dependents: of these it keeps only that they
// live, and where.
type graph struct {
	mu         sync.Mutex // guards what follows
	live       map[types.UID]place
	nodes      map[types.UID]*node
	dependents map[types.UID]map[types.UID]bool // owner → those that name it, whether it lives or not
}

// place is where an object is.
type place struct {
	resource  *Resource
	namespace string
}

// node is an object that has owners, or that waits for its dependents before it ends.
type node struct {
	place
	uid      types.UID
	name     string
	owners   []metav1.OwnerReference
	deleting bool
	// What is to become of the dependents before the object, which is deleting, ends.
	foreground, orphan bool
}

func newGraph() *graph {
	return &graph{live: map[types.UID]place{}, nodes: map[types.UID]*node{},
		dependents: map[types.UID]map[types.UID]bool{}}
}

// waits says that the object is there only until its dependents are gone.
func (n *node) waits() bool { return n != nil && n.deleting && n.foreground }

// nodeOf is nil for an object that needs no node.
func nodeOf(r *Resource, obj metav1.Object) *node {
	deleting := obj.GetDeletionTimestamp() != nil
	n := &node{
		place: place{r, obj.GetNamespace()}, uid: obj.GetUID(), name: obj.GetName(), owners: obj.GetOwnerReferences(),
		deleting:   deleting,
		foreground: deleting && slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents),
		orphan:     deleting && slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents),
	}
	if len(n.owners) == 0 && !n.foreground && !n.orphan {
		return nil
	}
	return n
}

// set records obj as it is now, and returns the objects to be looked at for it.
func (g *graph) set(r *Resource, obj metav1.Object) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	uid := obj.GetUID()
	g.live[uid] = place{r, obj.GetNamespace()}
	before, now := g.nodes[uid], nodeOf(r, obj)
	look := g.relink(uid, before, now)
	if now != nil && (now.foreground || now.orphan || g.lacksOwner(now)) {
		look = append(look, uid)
	}
	return look
}

// relink replaces a node, either of which may be nil, and returns those of its owners that wait for it.
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

// lacksOwner says that an owner of n is not where n says, or that it waits for n to end.
func (g *graph) lacksOwner(n *node) bool {
	return slices.ContainsFunc(n.owners, func(ref metav1.OwnerReference) bool {
		at, ok := g.live[ref.UID]
		return !ok || !at.fits(n, ref) || g.nodes[ref.UID].waits()
	})
}

// fits says whether what lives at p can be what n means by ref.
func (p place) fits(n *node, ref metav1.OwnerReference) bool {
	return p.resource.is(ref) && (!p.resource.Namespaced || p.namespace == n.namespace)
}

// remove forgets an object that is gone, and returns the objects to be looked at for it: its dependents, and owners
// that waited.
func (g *graph) remove(uid types.UID) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.live, uid)
	look := g.relink(uid, g.nodes[uid], nil)
	return slices.AppendSeq(look, maps.Keys(g.dependents[uid]))
}

// missing lists the objects of r that live here and are not among those that are there.
func (g *graph) missing(r *Resource, there map[types.UID]bool) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var gone []types.UID
	for uid, at := range g.live {
		if at.resource == r && !there[uid] {
			gone = append(gone, uid)
		}
	}
	return gone
}

// node is nil if there is none of that UID. Nodes are never changed, only replaced.
func (g *graph) node(uid types.UID) *node {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nodes[uid]
}

func (g *graph) place(uid types.UID) (place, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.live[uid]
	return at, ok
}

// dependentsOf lists those that name uid as an owner.
func (g *graph) dependentsOf(uid types.UID) []*node {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*node
	for d := range g.dependents[uid] {
		list = append(list, g.nodes[d])
	}
	return list
}
