// Package narrate says in one plain line what a change of an API object means to a person.
//
// The functions are pure: they compare two versions of an object and return text, "" when there is nothing worth
// reading. Only run.go talks to a server, and it only watches. Nothing here may decide or change anything.
package narrate
