package takeover

import (
	"fmt"
	"slices"
	"strings"
)

// A ruleset is one table of iptables.
type ruleset struct {
	family string // ip or ip6
	table  string // nat, filter, mangle, …
	chains []chain
}

type chain struct {
	name  string
	base  bool // a base chain, such as PREROUTING
	drops bool // its policy is DROP
	rules []rule
}

// A rule is one rule of iptables.
type rule struct {
	target string // a chain or another target, such as ACCEPT; may be empty
	handle uint64 // the kernel's number for the rule; iptables-nft only
	text   string // the rule as iptables-save prints it, without "-A" and the chain; iptables-legacy only
}

// An edit lists what is removed from one table of iptables.
type edit struct {
	family, table string
	leads         []lead   // rules of base chains that lead to chains
	chains        []string // kube-proxy's, sorted
	kept          []kept   // chains of kube-proxy that stay, sorted
	unguarded     bool     // KUBE-FORWARD is removed, and the policy of FORWARD is DROP
}

// A lead is a rule of a base chain that leads to a chain of kube-proxy.
type lead struct {
	chain string
	rule  rule
}

// kept is a chain of kube-proxy that stays, because a rule of the chain user leads to it.
type kept struct{ chain, user string }

func (e edit) empty() bool { return len(e.leads) == 0 && len(e.chains) == 0 }

// decide computes the edit of a table: it removes kube-proxy's chains, except those that other chains use, and the
// rules of base chains that lead to them.
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
		return c.name == "FORWARD" && c.base && c.drops
	})
	return e
}

// inUse lists kube-proxy's chains that rules of other programs lead to, and the chains that these need.
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
			keep(masqueradeEnd, users[name]) // it masquerades what the mark chain marks
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

// title names the table and the tool that shows it: iptables-nft or iptables-legacy, ip6tables-… for IPv6.
func (e edit) title(tool string) string {
	if e.family == "ip6" {
		tool = strings.Replace(tool, "ip", "ip6", 1)
	}
	return tool + " table " + e.table
}

// summary describes what is removed from the table.
func (e edit) summary(tool string) string {
	text := e.title(tool) + ": " + count(len(e.chains), "chain")
	if len(e.leads) > 0 {
		text += ", and " + count(len(e.leads), "rule that leads", "rules that lead") + " to them"
	}
	return text
}

// notes describe what a person should know before the edit is made.
func (e edit) notes(tool string) (list []string) {
	for _, k := range e.kept {
		list = append(list, fmt.Sprintf("%s: chain %s stays, because rules of chain %s lead to it", e.title(tool), k.chain,
			k.user))
	}
	if e.unguarded {
		list = append(list, fmt.Sprintf("%s: the policy of FORWARD is DROP, and the removed chain %s accepted connections "+
			"to Services; accept them in another way (iptables -P FORWARD ACCEPT, or rules for the Pods' addresses)",
			e.title(tool), forwardAccepts))
	}
	return list
}

// count is n with the noun in singular or plural. The plural is many, or one with an s.
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
