package takeover

import (
	"context"
	"fmt"
	"slices"

	"viaduct/internal/nftables"
)

// nfTables is kube-proxy's part of nftables: tables of its own, and chains in the tables of iptables-nft.
type nfTables struct {
	tables []ownTable
	edits  []edit
}

// An ownTable is a table of kube-proxy in nftables mode.
type ownTable struct {
	nftables.Table
	chains int // the number of its chains
}

const nftTool = "iptables-nft"

// chainsPerTransaction bounds a transaction: no other program can change any table during it.
const chainsPerTransaction = 500

// findNFTables reads the tables of both families.
func findNFTables() (parts []part, notes []string, err error) {
	conn, err := nftables.Open()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was written
	var found nfTables
	for _, family := range []nftables.Family{nftables.IPv4, nftables.IPv6} {
		names, err := conn.Tables(family)
		if err != nil {
			return nil, nil, fmt.Errorf("listing tables of nftables: %w", err)
		}
		for _, name := range names {
			if err := found.add(conn, nftables.Table{Family: family, Name: name}); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, e := range found.edits {
		notes = append(notes, e.notes(nftTool)...)
	}
	return []part{found}, notes, nil
}

// add adds kube-proxy's part of one table.
func (n *nfTables) add(conn *nftables.Conn, t nftables.Table) error {
	own := t.Name == nftablesTable
	if !own && !slices.Contains([]string{"nat", "filter", "mangle", "raw", "security"}, t.Name) { // those of iptables
		return nil
	}
	chains, err := conn.Chains(t)
	if err != nil {
		return fmt.Errorf("listing chains of nftables: %w", err)
	}
	if own {
		n.tables = append(n.tables, ownTable{t, len(chains)})
		return nil
	}
	if !slices.ContainsFunc(chains, func(c nftables.Chain) bool { return isKubeProxyChain(c.Name) }) {
		return nil
	}
	rules, err := conn.Rules(t)
	if err != nil {
		return fmt.Errorf("reading the rules of table %s: %w", t, err)
	}
	if e := decide(rulesetOf(t, chains, rules)); !e.empty() || len(e.kept) > 0 {
		n.edits = append(n.edits, e)
	}
	return nil
}

// rulesetOf is a table of iptables-nft as decide takes it.
func rulesetOf(t nftables.Table, chains []nftables.Chain, rules []nftables.Rule) ruleset {
	r := ruleset{family: t.Family.String(), table: t.Name}
	at := map[string]int{}
	for _, c := range chains {
		at[c.Name] = len(r.chains)
		r.chains = append(r.chains, chain{name: c.Name, base: c.Hook != nil, drops: c.Hook != nil && c.Hook.Drop})
	}
	for _, one := range rules {
		if i, known := at[one.Chain]; known { // else another program added the chain meanwhile
			r.chains[i].rules = append(r.chains[i].rules, rule{target: one.Target, handle: one.Handle})
		}
	}
	return r
}

// nftTable is the table of an edit, for iptables-nft.
func (e edit) nftTable() nftables.Table {
	t := nftables.Table{Family: nftables.IPv4, Name: e.table}
	if e.family == nftables.IPv6.String() {
		t.Family = nftables.IPv6
	}
	return t
}

func (n nfTables) lines() (list []string) {
	for _, t := range n.tables {
		list = append(list, fmt.Sprintf("nftables table %s: %s, with all that is in it", t, count(t.chains, "chain")))
	}
	for _, e := range n.edits {
		if !e.empty() {
			list = append(list, e.summary(nftTool))
		}
	}
	return list
}

// remove removes kube-proxy's tables and the rules that lead to its chains in one transaction, so that packets meet all
// of its rules or none. Then it removes the chains, in as many transactions as that takes.
func (n nfTables) remove(ctx context.Context) error {
	conn, err := nftables.Open()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // what was committed stays
	var first, flush, del []nftables.Message
	for _, t := range n.tables {
		first = append(first, t.Delete())
	}
	for _, e := range n.edits {
		t := e.nftTable()
		for _, l := range e.leads {
			first = append(first, t.DeleteRule(l.chain, l.rule.handle))
		}
		for _, name := range e.chains {
			flush = append(flush, t.FlushChain(name))
			del = append(del, t.DeleteChain(name))
		}
	}
	if err := conn.Commit(first); err != nil {
		return fmt.Errorf("removing kube-proxy's tables and the rules that lead to its chains from nftables: %w", err)
	}
	// A chain that another one leads to cannot be removed, so all are emptied first.
	for some := range slices.Chunk(slices.Concat(flush, del), chainsPerTransaction) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := conn.Commit(some); err != nil {
			return fmt.Errorf("removing kube-proxy's chains from nftables: %w", err)
		}
	}
	return nil
}
