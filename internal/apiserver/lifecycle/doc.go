// Package lifecycle does to objects what follows from changes of other objects: it deletes the content of a namespace
// that is being deleted, creates the objects that every namespace has, and deletes or keeps objects when their owners
// end.
//
//	lifecycle.go        the queues between watching and acting
//	watch.go            lists and watches every resource
//	graph.go            the owner references of all objects
//	decide.go    PURE   what happens to an object, given the states of its owners
//	collect.go          carries out the decision
//	events.go           warns about owner references that cannot be right
//	namespaces.go       empties namespaces that end; creates the default objects of the others
//	leftovers.go        deletes the content of a namespace and counts what is left
//	conditions.go       the conditions of a namespace that ends
//
// The package works on the storages of the server that it runs in. Several servers over one store may each run it:
// every write names the UID of the object that was seen, and repeating a step that was already done does nothing.
//
// It must not decide who may delete an object, and it must not delete an object that has an owner left.
package lifecycle
