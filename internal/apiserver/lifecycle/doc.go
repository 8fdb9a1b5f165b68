// Package lifecycle sees to what must happen to objects because of what happens to others: a namespace that is deleted
// takes its content with it, a new one gets what every namespace has, and an object ends, or stays, when its owners do.
//
//	lifecycle.go        the queues between what is seen and what is done
//	follow.go           what is there, from watching every resource
//	graph.go            who owns whom
//	decide.go    PURE   what becomes of an object, given the states of its owners
//	collect.go          makes it so
//	complain.go         tells users, by events, of owners that cannot be
//	namespaces.go       empties namespaces that end, and furnishes those that live
//	remains.go          deletes what is in a namespace, and counts what is left
//	conditions.go       what a namespace says of its end
//
// It works on the storages of the server that it runs in. Several servers over one store may each run it: every write
// names the object that was seen by its UID, and doing what has been done already does nothing.
//
// It must not decide who may delete what, nor delete anything that has an owner left.
package lifecycle
