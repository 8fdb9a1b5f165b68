package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"viaduct/internal/node/network"
	"viaduct/internal/node/runtime"
)

// A sandbox is what the processes of one Pod share: the host's namespaces, or their own.
type sandbox struct {
	runtime *Runtime
	config  runtime.PodSandboxConfig
	spawner *spawner     // starts the Pod's processes: the runtime's own, or one in namespaces of the Pod
	leave   func() error // gives up the Pod's namespaces, if it has any
}

// RunPodSandbox gives the Pod namespaces of its own, if the runtime has a network for them and the Pod wants them.
func (r *Runtime) RunPodSandbox(ctx context.Context, config runtime.PodSandboxConfig) (runtime.PodSandbox, error) {
	s := &sandbox{runtime: r, config: config, spawner: r.host, leave: func() error { return nil }}
	if config.HostNetwork || r.opts.Network == nil {
		return s, nil
	}
	if err := s.enterNetwork(ctx, r.opts.Network); err != nil {
		return nil, err
	}
	return s, nil
}

// enterNetwork starts a thread in namespaces of the Pod, and leads the Pod's ports of the host there.
func (s *sandbox) enterNetwork(ctx context.Context, pods *network.Network) error {
	box, err := s.writeFiles()
	if err != nil {
		return err
	}
	own := newSpawner(func() error { return pods.Enter(box) })
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // it lasts until Close
	entered := make(chan error, 1)
	go own.run(life, entered)
	err = <-entered
	if err == nil {
		err = pods.PublishPorts(s.config.UID, s.hostPorts())
	}
	if err != nil {
		end()
		<-own.gone
		return err
	}
	s.spawner = own
	s.leave = func() error {
		err := pods.WithdrawPorts(s.config.UID)
		end()
		<-own.gone
		return err
	}
	return nil
}

// Close implements runtime.PodSandbox.
func (s *sandbox) Close() error {
	if err := s.leave(); err != nil {
		return fmt.Errorf("withdrawing the pod's ports: %w", err)
	}
	return nil
}

// writeFiles writes the Pod's own files and says what its namespaces are to be.
func (s *sandbox) writeFiles() (network.Sandbox, error) {
	dir, err := s.runtime.podDir(s.config.UID)
	if err != nil {
		return network.Sandbox{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return network.Sandbox{}, fmt.Errorf("making the pod's directory: %w", err)
	}
	box := network.Sandbox{
		UID: s.config.UID, Addrs: s.config.Addrs, Hostname: s.config.Hostname, Hosts: filepath.Join(dir, "hosts"),
		Resolv: filepath.Join(dir, "resolv.conf"),
	}
	for path, text := range map[string]string{box.Hosts: s.config.Hosts, box.Resolv: s.config.ResolvConf} {
		// Readable for every user: the Pod's processes may run as any. The directory keeps others out.
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return box, fmt.Errorf("writing the pod's files: %w", err)
		}
	}
	return box, nil
}

func (s *sandbox) hostPorts() (list []network.HostPort) {
	for _, p := range s.config.PortMappings {
		list = append(list, network.HostPort{Proto: p.Protocol, Host: p.HostPort, Pod: p.PodPort,
			PodAddrs: s.config.Addrs})
	}
	return list
}
