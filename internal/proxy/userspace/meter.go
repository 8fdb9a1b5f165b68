package userspace

import "sync/atomic"

// meter is Counts in the making.
type meter struct {
	connections, failures, sent, received atomic.Uint64

	open atomic.Int64 // of an endpoint: connections and flows that go on, and attempts to connect
}

func (m *meter) read() Counts {
	return Counts{
		Connections: m.connections.Load(), Failures: m.failures.Load(),
		Sent: m.sent.Load(), Received: m.received.Load(),
	}
}
