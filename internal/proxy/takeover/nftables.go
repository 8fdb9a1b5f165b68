package takeover

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
)

// nfTables is what of kube-proxy nftables holds: tables of its own, and chains in the tables of iptables-nft.
type nfTables struct {
	tables []*nftables.Table
	chains []int // in each of these tables
	edits  []edit
}

const nftTool = "iptables-nft"

// atOnce bounds how much is asked of the kernel in one transaction, during which nobody else may change any table.
const atOnce = 500

// dial opens a connection to nftables. Every message of a batch is answered, and the answers have to fit into its
// buffer.
func dial() (*nftables.Conn, error) {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(
		func(c *netlink.Conn) error { return c.SetReadBuffer(4 << 20) },
		func(c *netlink.Conn) error { return c.SetWriteBuffer(1 << 20) },
	))
	if err != nil {
		return nil, fmt.Errorf("asking nftables: %w", err)
	}
	return c, nil
}

var families = []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}

func nameOf(f nftables.TableFamily) string {
	if f == nftables.TableFamilyIPv6 {
		return "ip6"
	}
	return "ip"
}

func familyOf(name string) nftables.TableFamily {
	if name == "ip6" {
		return nftables.TableFamilyIPv6
	}
	return nftables.TableFamilyIPv4
}

// findNFTables reads the tables of both families.
func findNFTables() (parts []part, notes []string, err error) {
	c, err := dial()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = c.CloseLasting() }()
	var found nfTables
	for _, family := range families {
		chains, err := c.ListChainsOfTableFamily(family)
		if err != nil {
			return nil, nil, fmt.Errorf("listing chains of nftables: %w", err)
		}
		tables, err := c.ListTablesOfFamily(family)
		if err != nil {
			return nil, nil, fmt.Errorf("listing tables of nftables: %w", err)
		}
		for _, t := range tables {
			if err := found.look(c, t, slices.DeleteFunc(slices.Clone(chains),
				func(c *nftables.Chain) bool { return c.Table.Name != t.Name })); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, e := range found.edits {
		notes = append(notes, e.notes(nftTool)...)
	}
	return []part{found}, notes, nil
}

// look notes what of a table is kube-proxy's.
func (n *nfTables) look(c *nftables.Conn, t *nftables.Table, chains []*nftables.Chain) error {
	switch t.Name {
	case nftablesTable:
		n.tables, n.chains = append(n.tables, t), append(n.chains, len(chains))
		return nil
	case "nat", "filter", "mangle", "raw", "security": // iptables'
	default:
		return nil
	}
	if !slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return isKubeProxyChain(c.Name) }) {
		return nil
	}
	r, err := readRules(c, t, chains)
	if err != nil {
		return err
	}
	if e := decide(r); !e.empty() || len(e.kept) > 0 {
		n.edits = append(n.edits, e)
	}
	return nil
}

func readRules(c *nftables.Conn, t *nftables.Table, chains []*nftables.Chain) (ruleset, error) {
	r := ruleset{family: nameOf(t.Family), table: t.Name}
	for _, one := range chains {
		drops := one.Policy != nil && *one.Policy == nftables.ChainPolicyDrop
		next := chain{name: one.Name, base: one.Hooknum != nil, drops: drops}
		rules, err := c.GetRules(t, one)
		if err != nil {
			return r, fmt.Errorf("reading chain %s of table %s %s: %w", one.Name, r.family, r.table, err)
		}
		for _, raw := range rules {
			next.rules = append(next.rules, rule{target: leadsTo(raw), handle: raw.Handle})
		}
		r.chains = append(r.chains, next)
	}
	return r, nil
}

// leadsTo is the chain a rule jumps or goes to, if any.
func leadsTo(r *nftables.Rule) string {
	for _, e := range r.Exprs {
		if v, ok := e.(*expr.Verdict); ok && v.Chain != "" {
			return v.Chain
		}
	}
	return ""
}

func (n nfTables) lines() (list []string) {
	for i, t := range n.tables {
		list = append(list, fmt.Sprintf("nftables table %s %s: %s, with all that is in it", nameOf(t.Family), t.Name,
			count(n.chains[i], "chain")))
	}
	for _, e := range n.edits {
		if !e.empty() {
			list = append(list, e.summary(nftTool))
		}
	}
	return list
}

// remove takes all of it out of the packets' way in one transaction, and clears up what nothing leads to any more in as
// many as it takes.
func (n nfTables) remove(ctx context.Context) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseLasting() }()
	for _, t := range n.tables {
		c.DelTable(t)
	}
	var chains []*nftables.Chain
	for _, e := range n.edits {
		t := &nftables.Table{Name: e.table, Family: familyOf(e.family)}
		for _, l := range e.leads {
			if err := c.DelRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Name: l.chain, Table: t},
				Handle: l.rule.handle}); err != nil {
				return fmt.Errorf("removing a rule of %s: %w", e.title(nftTool), err)
			}
		}
		for _, name := range e.chains {
			chains = append(chains, &nftables.Chain{Name: name, Table: t})
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("taking kube-proxy's rules out of nftables: %w", err)
	}
	return clearUp(ctx, c, chains)
}

// clearUp removes chains. They are emptied first, for one that another leads to cannot be removed.
func clearUp(ctx context.Context, c *nftables.Conn, chains []*nftables.Chain) error {
	for _, do := range []func(*nftables.Chain){c.FlushChain, c.DelChain} {
		for some := range slices.Chunk(chains, atOnce) {
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, one := range some {
				do(one)
			}
			if err := c.Flush(); err != nil {
				return fmt.Errorf("removing kube-proxy's chains from nftables: %w", err)
			}
		}
	}
	return nil
}
