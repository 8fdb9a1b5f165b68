package takeover

import (
	"fmt"
	"slices"
	"strings"
)

// A ruleset is one table of iptables, as it was read.
type ruleset struct {
	family string // ip or ip6
	table  string // nat, filter, mangle, …
	chains []chain
}

type chain struct {
	name  string
	base  bool // the kernel's own, such as PREROUTING
	drops bool // its policy is to drop
	rules []rule
}

// A rule of iptables, as far as it matters here.
type rule struct {
	target string // where it leads: a chain, something else, or nothing
	handle uint64 // by which nftables knows it
	text   string // what follows the chain's name in a listing of iptables-save
}

// An edit is what one table of iptables loses.
type edit struct {
	family, table string
	leads         []lead   // rules of the kernel's own chains
	chains        []string // sorted
	kept          []kept   // by chain
	unguarded     bool     // what lets forwarded connections to Services pass goes, and the policy is to drop them
}

// A lead is a rule that leads into kube-proxy's chains.
type lead struct {
	chain string
	rule  rule
}

// kept is a chain of kube-proxy's that has to stay, since somebody else's rules lead to it.
type kept struct{ chain, user string }

func (e edit) empty() bool { return len(e.leads) == 0 && len(e.chains) == 0 }

// decide says what a table loses: kube-proxy's chains, except for those that others use, and the rules that lead to
// them.
func decide(r ruleset) edit {
	e := edit{family: r.family, table: r.table, kept: r.inUse()}
	goes := map[string]bool{}
	for _, c := range r.chains {
		stays := slices.ContainsFunc(e.kept, func(k kept) bool { return k.chain == c.name })
		if !c.base && isKubeProxyChain(c.name) && !stays {
			goes[c.name] = true
			e.chains = append(e.chains, c.name)
		}
	}
	slices.Sort(e.chains)
	for _, c := range r.chains {
		for _, one := range c.rules {
			if c.base && goes[one.target] {
				e.leads = append(e.leads, lead{c.name, one})
			}
		}
	}
	e.unguarded = goes[forwardAccepts] && slices.ContainsFunc(r.chains, func(c chain) bool {
		return c.name == "FORWARD" &&
			c.base && c.drops
	})
	return e
}

// inUse lists kube-proxy's chains that others lead to, with all that they need.
func (r ruleset) inUse() []kept {
	users := map[string]string{}
	var look []string
	keep := func(name, user string) {
		if isKubeProxyChain(name) && users[name] == "" {
			users[name] = user
			look = append(look, name)
		}
	}
	rules := map[string][]rule{}
	for _, c := range r.chains {
		rules[c.name] = c.rules
		for _, one := range c.rules {
			if foreign := !isKubeProxyChain(c.name) && !(c.base && isEntry(one.target)); foreign {
				keep(one.target, c.name)
			}
		}
	}
	for ; len(look) > 0; look = look[1:] {
		name := look[0]
		if _, there := rules[masqueradeEnd]; there && name == markChain {
			keep(masqueradeEnd, users[name]) // a mark that nobody heeds would be no use to them
		}
		for _, one := range rules[name] {
			keep(one.target, users[name])
		}
	}
	var list []kept
	for name, user := range users {
		list = append(list, kept{name, user})
	}
	slices.SortFunc(list, func(a, b kept) int { return strings.Compare(a.chain, b.chain) })
	return list
}

// title names the table, as kept by tool: iptables-nft or iptables-legacy.
func (e edit) title(tool string) string {
	if e.family == "ip6" {
		tool = strings.Replace(tool, "ip", "ip6", 1)
	}
	return tool + " table " + e.table
}

// summary says what the table loses.
func (e edit) summary(tool string) string {
	text := e.title(tool) + ": " + count(len(e.chains), "chain")
	if len(e.leads) > 0 {
		text += ", and " + count(len(e.leads), "rule that leads", "rules that lead") + " to them"
	}
	return text
}

// notes says what else is worth knowing before the table loses it.
func (e edit) notes(tool string) (list []string) {
	for _, k := range e.kept {
		list = append(list, fmt.Sprintf("%s: chain %s stays, because the rules of %s need it", e.title(tool), k.chain,
			k.user))
	}
	if e.unguarded {
		list = append(list, fmt.Sprintf("%s: the policy of FORWARD is to drop, and %s let connections to Services pass; "+
			"see to it that they still may (iptables -P FORWARD ACCEPT, or rules for the Pods' addresses)",
			e.title(tool), forwardAccepts))
	}
	return list
}

// count says n of something, whose plural, if not given, is made with an s.
func count(n int, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprint(n, " ", many[0])
	default:
		return fmt.Sprint(n, " ", one, "s")
	}
}
