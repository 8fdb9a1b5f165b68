// Package prober asks whether something answers: Kubernetes' four kinds of probe, and the rise and fall that turn
// single answers into a state. It must not know of Pods, start or kill anything, or write to the API: who runs a Prober
// decides what a state means.
package prober
