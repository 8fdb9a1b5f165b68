// Package prober implements the probes of Kubernetes: HTTP, TCP, gRPC and exec checks, and the success and failure
// thresholds that turn single results into a state. It must not know Pods, start or kill anything, or write to the API:
// the caller of a Prober decides what a state means.
package prober
