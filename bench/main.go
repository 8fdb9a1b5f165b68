// Command bench measures the built viaduct binary as its users run it, and prints a table. Times differ from machine to
// machine; where something is compared, both sides are measured in the same run.
//
//	go run ./bench [-binary FILE] [-only NAME,…] [-quick]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// A measurement gives one or more rows of the table.
type measurement struct {
	name string
	what string
	run  func(ctx context.Context, b *bench) ([]row, error)
}

// row is one line of the table.
type row struct{ what, result, goal string }

// bench is the input of every measurement.
type bench struct {
	binary string
	kernel bool // this runs in a network namespace of its own, where the kernel carries the connections
	quick  bool // fewer repetitions, for a test that the measurements work
}

// times returns n, or few in a quick run.
func (b *bench) times(n, few int) int {
	if b.quick {
		return few
	}
	return n
}

func measurements() []measurement {
	return []measurement{
		{"start", "process start to ready", measureStart},
		{"memory", "resident memory when idle", measureMemory},
		{"endpoints", "Pod status to Endpoints event", measureEndpoints},
		{"storm", "half of a large Service flips at once", measureStorm},
		{"settled", "the controllers' start among many Services", measureSettled},
		{"connect", "Pod status to first connection", measureConnect},
		{"kernel", "many Services in the kernel's table", measureKernel},
		{"byhand", "addresses that people write, checked", measureByHand},
		{"proxy", "connections through the proxy", measureProxy},
		{"pods", "Pods created by many clients at once, in an API server alone", measurePods},
		{"load", "the same behind Services, with everything at work", measureLoad},
	}
}

// insides are the functions that this program runs when it starts itself again in a network namespace of its own. The
// first argument is the key.
func insides() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		insideKernel: runInsideKernel, insideConnect: runInsideConnect, insideChecks: runInsideChecks,
		insideAnswers: runInsideAnswers,
	}
}

func main() {
	if len(os.Args) > 1 {
		if inside := insides()[os.Args[1]]; inside != nil {
			if err := inside(context.Background(), os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
				os.Exit(1)
			}
			return
		}
	}
	binary := flag.String("binary", "", "the viaduct binary to measure; built from this tree if empty")
	only := flag.String("only", "", "names of measurements, separated by commas; all if empty")
	quick := flag.Bool("quick", false, "few repetitions: shows that everything can be measured, not how fast it is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *binary, *only, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary, only string, quick bool) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if binary == "" {
		dir, err := os.MkdirTemp("", "viaduct-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	b := &bench{binary: binary, quick: quick}
	var rows []row
	for _, m := range chosen {
		started := time.Now()
		fmt.Fprintf(os.Stderr, "measuring %s (%s) …", m.name, m.what)
		more, err := m.run(ctx, b)
		if err != nil {
			fmt.Fprintln(os.Stderr)
			printTable(rows)
			return fmt.Errorf("measuring %s: %w", m.name, err)
		}
		fmt.Fprintf(os.Stderr, " %.1f s\n", time.Since(started).Seconds())
		rows = append(rows, more...)
	}
	printTable(rows)
	return nil
}

func choose(only string) ([]measurement, error) {
	all := measurements()
	if only == "" {
		return all, nil
	}
	var chosen []measurement
	for _, name := range strings.Split(only, ",") {
		before := len(chosen)
		for _, m := range all {
			if m.name == name {
				chosen = append(chosen, m)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("there is no measurement %q", name)
		}
	}
	return chosen, nil
}

func build(ctx context.Context, dir string) (string, error) {
	fmt.Fprintln(os.Stderr, "building viaduct …")
	binary := filepath.Join(dir, "viaduct")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "viaduct/cmd/viaduct")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building viaduct: %w", err)
	}
	return binary, nil
}

func printTable(rows []row) {
	fmt.Println("| what | measured | goal |")
	fmt.Println("|---|---|---|")
	for _, r := range rows {
		fmt.Printf("| %s | %s | %s |\n", r.what, r.result, r.goal)
	}
}
