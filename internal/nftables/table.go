package nftables

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Family is an nf_tables family.
type Family uint8

// The families that this package is used with.
const (
	IPv4 Family = unix.NFPROTO_IPV4
	IPv6 Family = unix.NFPROTO_IPV6
)

// FamilyOf is the family whose packets carry addresses like a.
func FamilyOf(a netip.Addr) Family {
	if a.Is6() {
		return IPv6
	}
	return IPv4
}

// String is the name that nft uses: "ip" or "ip6".
func (f Family) String() string {
	if f == IPv6 {
		return "ip6"
	}
	return "ip"
}

// AddrSize is the length of an address, in bytes.
func (f Family) AddrSize() int {
	if f == IPv6 {
		return 16
	}
	return 4
}

// A Message is one request of a transaction, or one question to the kernel.
type Message struct {
	kind  uint16 // NFT_MSG_…
	flags uint16 // NLM_F_…, without NLM_F_REQUEST
	fam   Family
	body  Attrs
}

// Size is the length of the message, in bytes.
func (m Message) Size() int { return messageHeader + len(m.body) }

// A Table names one table. Its methods make messages and do nothing else.
type Table struct {
	Family Family
	Name   string
}

// String is what nft calls the table: "ip viaduct".
func (t Table) String() string { return t.Family.String() + " " + t.Name }

// message begins a message. Attribute 1 is the table's name in every nf_tables message (NFTA_TABLE_NAME,
// NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE).
func (t Table) message(kind, flags uint16) Message { return t.sized(kind, flags, 64) }

// sized is message with the expected length of the body, in bytes.
func (t Table) sized(kind, flags uint16, size int) Message {
	m := Message{kind: kind, flags: flags, fam: t.Family, body: make(Attrs, 0, size)}
	m.body.Text(tableName, t.Name)
	return m
}

const tableName = unix.NFTA_TABLE_NAME

// Add makes the table. A table that exists stays as it is.
func (t Table) Add() Message { return t.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE) }

// Delete removes the table with all that is in it; ENOENT if there is none.
func (t Table) Delete() Message { return t.message(unix.NFT_MSG_DELTABLE, 0) }

// A Chain is one chain of a table.
type Chain struct {
	Name string
	Hook *Hook // of a base chain; nil for others
}

// A Hook says where the kernel enters a base chain.
type Hook struct {
	Type     string // "nat", "filter" or "route"
	Number   uint32 // unix.NF_INET_PRE_ROUTING and its like
	Priority int32  // chains of one hook run in ascending order
	Drop     bool   // the policy; it is read, and AddChain ignores it
}

// AddChain makes a chain. A chain that exists stays as it is.
func (t Table) AddChain(c Chain) Message {
	m := t.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE)
	m.body.Text(unix.NFTA_CHAIN_NAME, c.Name)
	if c.Hook == nil {
		return m
	}
	at := m.body.open(unix.NFTA_CHAIN_HOOK)
	m.body.Uint32(unix.NFTA_HOOK_HOOKNUM, c.Hook.Number)
	m.body.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(c.Hook.Priority))
	m.body.close(at)
	m.body.Text(unix.NFTA_CHAIN_TYPE, c.Hook.Type)
	return m
}

// DeleteChain removes a chain, which must be empty (EBUSY) and exist (ENOENT).
func (t Table) DeleteChain(name string) Message {
	m := t.message(unix.NFT_MSG_DELCHAIN, 0)
	m.body.Text(unix.NFTA_CHAIN_NAME, name)
	return m
}

// A Rule is one rule of a chain.
type Rule struct {
	Chain   string
	Comment string // at most 127 bytes, which is nft's limit
	Exprs   Attrs  // from Exprs; what is read has none
	Handle  uint64 // the kernel's number for it within the table; what is added has none
	Target  string // the chain to which the rule's verdict jumps or goes; it is read, and AddRule ignores it
}

// AddRule appends a rule to its chain.
func (t Table) AddRule(r Rule) Message {
	m := t.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
	m.body.Text(unix.NFTA_RULE_CHAIN, r.Chain)
	at := m.body.open(unix.NFTA_RULE_EXPRESSIONS)
	m.body = append(m.body, r.Exprs...)
	m.body.close(at)
	if r.Comment != "" {
		m.body.Bytes(unix.NFTA_RULE_USERDATA, commentData(r.Comment))
	}
	return m
}

// DeleteRule removes one rule; ENOENT if there is none of this handle.
func (t Table) DeleteRule(chain string, handle uint64) Message {
	m := t.FlushChain(chain)
	m.body.Uint64(unix.NFTA_RULE_HANDLE, handle)
	return m
}

// FlushChain removes all rules of a chain.
func (t Table) FlushChain(name string) Message {
	m := t.Flush()
	m.body.Text(unix.NFTA_RULE_CHAIN, name)
	return m
}

// Flush removes all rules of all chains of the table.
func (t Table) Flush() Message { return t.message(unix.NFT_MSG_DELRULE, 0) }

// commentData is a comment as nft keeps it in user data: type 0, the length, the text with a terminating zero.
func commentData(s string) []byte {
	return append(append([]byte{0, byte(len(s) + 1)}, s...), 0)
}

// commentOf finds the comment in user data; empty if there is none.
func commentOf(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		if b[0] == 0 {
			return text(b[2 : 2+int(b[1])])
		}
		b = b[2+int(b[1]):]
	}
	return ""
}
