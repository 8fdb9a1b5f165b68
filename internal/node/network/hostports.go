package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"viaduct/internal/nftables"
)

// ErrPortTaken means that another Pod has the port of the host.
var ErrPortTaken = errors.New("another Pod has this port of the host")

// A HostPort is a port of the host whose connections go to a port of a Pod (a container's hostPort).
type HostPort struct {
	Proto    uint8 // IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP
	Host     uint16
	Pod      uint16
	PodAddrs []netip.Addr
}

type portKey struct {
	proto uint8
	port  uint16
}

// hostPorts keeps the Pods' tables, and knows which Pod has which port of the host.
type hostPorts struct {
	tables []podTable

	mu    sync.Mutex // protects the following
	conn  *nftables.Conn
	owner map[portKey]string    // the UID of the Pod that has the port
	held  map[string][]HostPort // by UID of the Pod
}

// newHostPorts makes the tables anew. Tables of an earlier process are replaced in one transaction.
func newHostPorts(pods []netip.Prefix) (*hostPorts, error) {
	conn, err := nftables.Open()
	if err != nil {
		return nil, err
	}
	h := &hostPorts{conn: conn, owner: map[portKey]string{}, held: map[string][]HostPort{}}
	for _, p := range pods {
		h.tables = append(h.tables, newPodTable(p))
	}
	return h, h.build()
}

// build replaces the tables by new ones with the ports that Pods have.
func (h *hostPorts) build() error {
	var list []nftables.Message
	for _, t := range h.tables {
		list = append(list, t.messages()...)
		for _, ports := range h.held {
			list = append(list, t.addPorts(ports)...)
		}
	}
	if err := h.conn.Commit(list); err != nil {
		return fmt.Errorf("making table %s: %w", TableName, err)
	}
	return nil
}

// whole reports whether every table has its rules.
func (h *hostPorts) whole() (bool, error) {
	for _, t := range h.tables {
		rules, err := h.conn.Rules(t.Table)
		if err != nil {
			return false, fmt.Errorf("reading table %s: %w", TableName, err)
		}
		if len(rules) != rulesOfTable {
			return false, nil
		}
	}
	return true, nil
}

// repairInterval is the time between two checks of the tables.
const repairInterval = 5 * time.Second

// Keep repairs the Pods' tables after changes by other programs, until ctx ends.
func (n *Network) Keep(ctx context.Context) {
	ticker := time.NewTicker(repairInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if repaired, err := n.Repair(); err != nil {
			n.opts.Log.WarnContext(ctx, "the tables of the Pods' network cannot be checked", "err", err)
		} else if repaired {
			n.opts.Log.WarnContext(ctx, "another program had changed the table of the Pods' network; it is repaired",
				"table", TableName)
		}
	}
}

// Repair replaces the Pods' tables if rules are missing, and reports whether it did.
func (n *Network) Repair() (bool, error) {
	h := n.ports
	h.mu.Lock()
	defer h.mu.Unlock()
	whole, err := h.whole()
	if err != nil || whole {
		return false, err
	}
	return true, h.build()
}

// PublishPorts redirects ports of the host to a Pod. The error is ErrPortTaken if another Pod has one of them; then
// none is redirected. Ports of a Pod that has some already stay as they are.
func (n *Network) PublishPorts(uid string, list []HostPort) error {
	h := n.ports
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[uid] != nil || len(list) == 0 {
		return nil
	}
	for _, p := range list {
		if owner := h.owner[portKey{p.Proto, p.Host}]; owner != "" && owner != uid {
			return fmt.Errorf("port %d: %w", p.Host, ErrPortTaken)
		}
	}
	var messages []nftables.Message
	for _, t := range h.tables {
		messages = append(messages, t.addPorts(list)...)
	}
	if err := h.conn.Commit(messages); err != nil {
		return fmt.Errorf("publishing ports of the host: %w", err)
	}
	for _, p := range list {
		h.owner[portKey{p.Proto, p.Host}] = uid
	}
	h.held[uid] = list
	return nil
}

// WithdrawPorts undoes PublishPorts.
func (n *Network) WithdrawPorts(uid string) error {
	h := n.ports
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.held[uid]
	if list == nil {
		return nil
	}
	for _, p := range list {
		delete(h.owner, portKey{p.Proto, p.Host})
	}
	delete(h.held, uid)
	var messages []nftables.Message
	for _, t := range h.tables {
		messages = append(messages, t.deletePorts(list)...)
	}
	if err := h.conn.Commit(messages); err != nil {
		return fmt.Errorf("withdrawing ports of the host: %w", err)
	}
	return nil
}

// remove removes the tables and closes the connection.
func (h *hostPorts) remove() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []nftables.Message
	for _, t := range h.tables {
		list = append(list, t.Delete())
	}
	if err := h.conn.Commit(list); err != nil {
		return fmt.Errorf("removing table %s: %w", TableName, err)
	}
	return h.conn.Close()
}
