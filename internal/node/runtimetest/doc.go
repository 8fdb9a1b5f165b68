// Package runtimetest is test support for container runtimes. New makes a fake runtime whose containers are Go
// functions, for tests of the agent without processes and, inside testing/synctest, without waiting. Run is the
// conformance suite that every runtime passes, the fake one too.
package runtimetest
