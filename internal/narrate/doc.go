// Package narrate describes a change of an API object in one line for people. `viaduct up` prints these lines.
//
// The functions are pure: they compare two versions of an object and return a line, or an empty one if the change is
// not worth a line. Only run.go talks to a server, and it only watches. The package must not decide or change anything.
package narrate
