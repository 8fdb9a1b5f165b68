package userspace

import "sync/atomic"

// meter holds the running counters of a server or an endpoint; see Counts.
type meter struct {
	connections, failures, sent, received atomic.Uint64

	open atomic.Int64 // of an endpoint: open connections and flows, and connection attempts in progress
}

func (m *meter) read() Counts {
	return Counts{
		Connections: m.connections.Load(), Failures: m.failures.Load(),
		Sent: m.sent.Load(), Received: m.received.Load(),
	}
}
