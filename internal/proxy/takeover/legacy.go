package takeover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// legacy is iptables-legacy of one family. Only the host's binaries can change its tables: the kernel's interface takes
// a table as a whole, in a form that depends on every extension in use.
type legacy struct {
	family  string
	restore string // the path of iptables-legacy-restore
	edits   []edit
}

const legacyTool = "iptables-legacy"

// findLegacy reads the tables of iptables-legacy of both families. If there are tables and no binary that reads them, a
// note says so.
func findLegacy(ctx context.Context) (parts []part, notes []string, err error) {
	for _, family := range []string{"ip", "ip6"} {
		tables, err := legacyTables(family)
		if err != nil {
			return nil, nil, err
		}
		if len(tables) == 0 {
			continue
		}
		save, restore := legacyBinaries(ctx, family)
		if restore == "" {
			notes = append(notes, fmt.Sprintf("the kernel has tables of iptables-legacy (%s: %s), which may hold rules of "+
				"kube-proxy; install %stables-legacy-save and -restore to read them", family,
				strings.Join(tables, ", "), family))
			continue
		}
		l := legacy{family: family, restore: restore}
		for _, table := range tables {
			edits, err := readLegacy(ctx, family, save, table)
			if err != nil {
				return nil, nil, err
			}
			l.edits = append(l.edits, edits...)
		}
		for _, e := range l.edits {
			notes = append(notes, e.notes(legacyTool)...)
		}
		parts = append(parts, l)
	}
	return parts, notes, nil
}

// legacyTables names the tables of iptables-legacy that exist in this network namespace. A request for another table
// would create it.
func legacyTables(family string) ([]string, error) {
	text, err := os.ReadFile("/proc/thread-self/net/" + family + "_tables_names")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for tables of iptables-legacy: %w", err)
	}
	tables := strings.Fields(string(text))
	slices.Sort(tables)
	return tables, nil
}

// legacyBinaries finds the binaries. On hosts without iptables-nft their names do not contain "legacy".
func legacyBinaries(ctx context.Context, family string) (save, restore string) {
	for _, kind := range []string{"tables-legacy-", "tables-"} {
		save, saveErr := exec.LookPath(family + kind + "save")
		restore, restoreErr := exec.LookPath(family + kind + "restore")
		if saveErr != nil || restoreErr != nil {
			continue
		}
		version, err := command(ctx, "", save, "--version")
		if err == nil && !strings.Contains(version, "nf_tables") {
			return save, restore
		}
	}
	return "", ""
}

func readLegacy(ctx context.Context, family, save, table string) (edits []edit, err error) {
	text, err := command(ctx, "", save, "-t", table)
	if err != nil {
		return nil, fmt.Errorf("reading a table of iptables-legacy: %w", err)
	}
	for _, r := range parseListing(family, text) {
		if e := decide(r); !e.empty() || len(e.kept) > 0 {
			edits = append(edits, e)
		}
	}
	return edits, nil
}

func (l legacy) lines() (list []string) {
	for _, e := range l.edits {
		if !e.empty() {
			list = append(list, e.summary(legacyTool))
		}
	}
	return list
}

func (l legacy) remove(ctx context.Context) error {
	text := script(l.edits)
	if text == "" {
		return nil
	}
	_, err := command(ctx, text, l.restore, "--noflush", "-w", "10") // seconds to wait for the lock
	if err != nil {
		return fmt.Errorf("removing chains of iptables-legacy: %w", err)
	}
	return nil
}

// command runs a binary of the host in the network namespace of the calling thread, and returns its output.
func command(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return out.String(), nil
}
