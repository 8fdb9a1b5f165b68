// Package tokens makes and checks the two kinds of bearer tokens: opaque ones for users, of which the API stores a
// hash, and signed ones (JWT) for ServiceAccounts, which the API does not store at all.
//
// It reads and writes nothing outside itself: whether the object behind a token still exists is for its caller to find
// out. It must not log: what it is given is secret.
package tokens
