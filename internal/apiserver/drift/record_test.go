package drift

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the libraries export to testdata; new entries get no decision")

// undecided is the decision of a new entry. Every test that meets it fails.
const undecided = "UNDECIDED"

// An entry is one line of a record.
type entry struct {
	group    string // the heading that it stands under, such as a type
	name     string // unique in the group
	facts    string // what the libraries say; a change of it is drift
	decision string // what Viaduct makes of it; a person writes it
	notes    string // more facts, which are long
}

func (e entry) key() string { return e.group + " " + e.name }

// format renders a record: a line for each heading, and below it a line for each entry. Columns are set apart by at
// least two spaces.
func format(comment string, entries []entry) string {
	width := [3]int{}
	for _, e := range entries {
		width[0] = max(width[0], len(e.name))
		width[1] = max(width[1], len(e.facts))
		width[2] = max(width[2], len(e.decision))
	}
	var b strings.Builder
	for line := range strings.Lines(comment) {
		fmt.Fprintf(&b, "# %s", line)
	}
	group := ""
	for _, e := range entries {
		if e.group != group {
			fmt.Fprintf(&b, "\n%s\n", e.group)
			group = e.group
		}
		line := fmt.Sprintf("    %-*s  %-*s  %-*s  %s", width[0], e.name, width[1], e.facts, width[2], e.decision, e.notes)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// decisions reads the decisions of a record.
func decisions(text string) map[string]string {
	known := map[string]string{}
	group := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case !strings.HasPrefix(line, " "):
			group = line
		default:
			var columns []string
			for _, column := range strings.Split(line, "  ") {
				if column != "" {
					columns = append(columns, strings.TrimSpace(column))
				}
			}
			if len(columns) >= 3 {
				known[group+" "+columns[0]] = columns[2]
			}
		}
	}
	return known
}

// drift compares what the libraries say with a record and returns one complaint for each difference. have comes without
// decisions; the result carries those of the record. allowed lists the decisions; without any the record has no column
// for them.
func drift(comment, record string, have []entry, allowed []string) (text string, complaints []string) {
	known := decisions(record)
	for i := range have {
		if len(allowed) == 0 {
			break
		}
		have[i].decision = undecided
		if d, ok := known[have[i].key()]; ok {
			have[i].decision = d
		}
		if !slices.Contains(allowed, have[i].decision) {
			complaints = append(complaints, fmt.Sprintf("%s has the decision %q, want one of %s", have[i].key(),
				have[i].decision, strings.Join(allowed, ", ")))
		}
	}
	text = format(comment, have)
	lines, recorded := strings.Split(text, "\n"), strings.Split(record, "\n")
	for _, line := range recorded {
		if !slices.Contains(lines, line) {
			complaints = append(complaints, "recorded, and the libraries differ: "+strings.TrimSpace(line))
		}
	}
	for _, line := range lines {
		if !slices.Contains(recorded, line) {
			complaints = append(complaints, "not recorded: "+strings.TrimSpace(line))
		}
	}
	return text, complaints
}

// compareRecord fails the test if the libraries and the record in testdata differ. With -update it writes the record.
func compareRecord(t *testing.T, file, comment string, have []entry, allowed []string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	record, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	text, complaints := drift(comment, string(record), have, allowed)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, complaints = drift(comment, text, have, allowed)
	}
	for _, complaint := range complaints {
		t.Errorf("%s: %s", path, complaint)
	}
	if len(complaints) > 0 {
		t.Errorf("%s: read docs/following-kubernetes.md", path)
	}
}
