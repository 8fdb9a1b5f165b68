// Package tokens creates and verifies the two kinds of bearer tokens: opaque tokens for users, of which the API stores
// a hash, and signed tokens (JWT) for ServiceAccounts, which the API does not store.
//
// The package does no input or output. Its caller checks whether the object behind a token still exists. It must not
// log, since its inputs are secret.
package tokens
