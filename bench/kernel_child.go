package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/routing"
)

// cluster is a node's view of many Services.
type cluster struct {
	node     routing.Node
	services []*v1.Service
	slices   []*discovery.EndpointSlice // one per Service
	table    *routing.Table
}

func newCluster(s scale) *cluster {
	c := &cluster{node: routing.Node{Name: "node-1"}, table: &routing.Table{}}
	for i := range s.Services {
		name := fmt.Sprintf("service-%d", i)
		ip := netip.AddrFrom4([4]byte{10, byte(96 + i>>16), byte(i >> 8), byte(i)}).String()
		c.services = append(c.services, &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: v1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip},
				Ports: []v1.ServicePort{{Name: "http", Protocol: v1.ProtocolTCP, Port: 80}}},
		})
		c.slices = append(c.slices, sliceOf(name, i, s.Endpoints))
	}
	return c
}

func sliceOf(name string, service, endpoints int) *discovery.EndpointSlice {
	port, portName, tcp, ready := int32(8080), "http", v1.ProtocolTCP, true
	slice := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name + "-x",
			Labels: map[string]string{discovery.LabelServiceName: name}},
		AddressType: discovery.AddressTypeIPv4, Ports: []discovery.EndpointPort{{Name: &portName, Port: &port,
			Protocol: &tcp}},
	}
	for i := range endpoints {
		n := service*endpoints + i
		node := fmt.Sprintf("node-%d", n%100)
		slice.Endpoints = append(slice.Endpoints, discovery.Endpoint{
			Addresses:  []string{netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}).String()},
			Conditions: discovery.EndpointConditions{Ready: &ready, Serving: &ready}, NodeName: &node,
		})
	}
	return slice
}

func (c *cluster) entry(i int) routing.Entry {
	name := routing.Name{Namespace: "default", Name: c.services[i].Name}
	return routing.Entry{Service: name, Frontends: routing.Frontends(c.node, c.services[i], c.slices[i:i+1])}
}

// runInsideKernel is the process in the namespace.
func runInsideKernel(ctx context.Context, args []string) error {
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(args[i]); err != nil {
			return err
		}
	}
	c := newCluster(scale{n[0], n[1]})
	var r kernelResult
	backend, err := c.first(ctx, &r)
	if err != nil {
		return err
	}
	if err := c.changes(ctx, backend, n[2], &r); err != nil {
		return err
	}
	r.Longest = backend.Stats().Longest
	if err := backend.Leave(); err != nil {
		return err
	}
	if err := c.restart(ctx, &r); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (c *cluster) first(ctx context.Context, r *kernelResult) (*nft.Backend, error) {
	backend, err := nft.New(nft.Options{})
	if err != nil {
		return nil, err
	}
	started := time.Now()
	entries := make([]routing.Entry, len(c.services))
	for i := range c.services {
		entries[i] = c.entry(i)
	}
	c.table, _ = c.table.With(entries...)
	err = backend.Sync(ctx, c.table, nil)
	r.First, r.Resident = time.Since(started), peakResident()
	return backend, err
}

// changes makes one endpoint of a Service unready and then ready again, in one Service after another. n counts both.
func (c *cluster) changes(ctx context.Context, backend *nft.Backend, n int, r *kernelResult) error {
	for i := range n {
		at := i / 2 * 37 % len(c.services)
		ready := i%2 == 1
		c.slices[at].Endpoints[0].Conditions = discovery.EndpointConditions{Ready: &ready, Serving: &ready}
		started := time.Now()
		next, changed := c.table.With(c.entry(at))
		c.table = next
		if err := backend.Sync(ctx, next, changed); err != nil {
			return err
		}
		r.Changes = append(r.Changes, time.Since(started))
	}
	return nil
}

func (c *cluster) restart(ctx context.Context, r *kernelResult) error {
	started := time.Now()
	backend, err := nft.New(nft.Options{})
	if err != nil {
		return err
	}
	if err := backend.Sync(ctx, c.table, nil); err != nil {
		return err
	}
	r.Restart, r.Written = time.Since(started), backend.Stats().Elements
	return backend.Leave()
}

// peakResident returns the peak memory of this process, in MB.
func peakResident() float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / 1024
		}
	}
	return 0
}
