package takeover

import (
	"fmt"
	"strings"
)

// parseListing parses the output of iptables-save. It ignores lines that are no table, chain or rule.
func parseListing(family, text string) (list []ruleset) {
	at := map[string]int{} // chains of the current table
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			list, at = append(list, ruleset{family: family, table: name}), map[string]int{}
			continue
		}
		if len(list) == 0 {
			continue
		}
		now := &list[len(list)-1]
		if name, ok := strings.CutPrefix(line, ":"); ok {
			name, policy, _ := strings.Cut(name, " ")
			at[name] = len(now.chains)
			now.chains = append(now.chains, chain{name: name, base: !strings.HasPrefix(policy, "-"),
				drops: strings.HasPrefix(policy, "DROP")})
			continue
		}
		if appended, ok := strings.CutPrefix(line, "-A "); ok {
			name, spec, _ := strings.Cut(appended, " ")
			if i, known := at[name]; known {
				now.chains[i].rules = append(now.chains[i].rules, rule{target: targetOf(spec), text: spec})
			}
		}
	}
	return list
}

// targetOf is the target of a rule: what follows -j or -g. It is empty if there is none.
func targetOf(spec string) string {
	words := wordsOf(spec)
	for i := 0; i+1 < len(words); i++ {
		isComment := i > 0 && words[i-1] == "--comment"
		if (words[i] == "-j" || words[i] == "-g") && !isComment {
			return words[i+1]
		}
	}
	return ""
}

// wordsOf splits a rule into words, as a shell does. Quoted text belongs to one word. The quotes stay, so that a quoted
// "-j" differs from the option.
func wordsOf(spec string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(spec, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}

// script is the input of iptables-restore --noflush that makes the edits, those of a table in one transaction. The line
// of a chain (":CHAIN") empties the chain.
func script(edits []edit) string {
	var b strings.Builder
	for _, e := range edits {
		if e.empty() {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", e.table)
		for _, c := range e.chains {
			fmt.Fprintf(&b, ":%s - [0:0]\n", c)
		}
		for _, l := range e.leads {
			fmt.Fprintf(&b, "-D %s %s\n", l.chain, l.rule.text)
		}
		for _, c := range e.chains {
			fmt.Fprintf(&b, "-X %s\n", c)
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}
