package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The README's section "Five minutes" is a script, and its section "Two commands" names the two that everything hangs
// on.

// section is the text from a heading to the next of its level.
func section(t testing.TB, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// shellBlocks are the blocks fenced as sh, one text each.
func shellBlocks(t testing.TB, text string) []string {
	t.Helper()
	var blocks []string
	for {
		_, rest, found := strings.Cut(text, "\n```sh\n")
		if !found {
			return blocks
		}
		block, after, closed := strings.Cut(rest, "\n```")
		if !closed {
			t.Fatal("a block of README.md is not closed")
		}
		blocks, text = append(blocks, block+"\n"), after
	}
}

func readme(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadmeNamesTheTwoCommands(t *testing.T) {
	got := strings.Join(shellBlocks(t, section(t, readme(t), "Two commands")), "")
	if want := "go run ./cmd/viaduct demo\ngo test ./...\n"; got != want {
		t.Errorf("the two commands are\n%s\nwant\n%s", got, want)
	}
}

// Every sh block of the README is in one of the two sections that are tested; another one would rot.
func TestReadmeHasNoOtherCommands(t *testing.T) {
	text := readme(t)
	tested := 0
	for _, heading := range []string{"Two commands", "Five minutes", "As root"} {
		tested += len(shellBlocks(t, section(t, text, heading)))
	}
	if all := len(shellBlocks(t, text)); all != tested || all < 4 {
		t.Errorf("%d sh blocks, of which %d are tested: mark what is not to be run with another word than sh", all, tested)
	}
}

// buildCommand is the first command of the README's scripts.
const buildCommand = "go build -o viaduct ./cmd/viaduct\n"

func TestReadmeFiveMinutes(t *testing.T) {
	t.Parallel()
	script := strings.Join(shellBlocks(t, section(t, readme(t), "Five minutes")), "")
	if !strings.HasPrefix(script, buildCommand) {
		t.Fatalf("the first command is not %q:\n%s", buildCommand, script)
	}
	runScript(t, script, "ready in", "service/hello created", "pod/hello-3 condition met", "hello-",
		`pod "hello-1" deleted`, "Selector:", "stopping")
}

func TestReadmeAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || !canOwnNetwork(t) {
		t.Skip("needs root, and network namespaces of its own")
	}
	script := buildCommand + strings.Join(shellBlocks(t, section(t, readme(t), "As root")), "")
	runScript(t, script, "ready in", "service/hello created", "pod/hello-3 condition met", "hello-", " to 10.244.",
		"stopping")
}

// runScript runs a script of the README in a network of its own, with nothing left of it in the end, and checks what it
// prints.
func runScript(t *testing.T, script string, wants ...string) {
	t.Helper()
	place := t.TempDir()
	if err := os.CopyFS(filepath.Join(place, "examples"), os.DirFS("../examples")); err != nil {
		t.Fatal(err)
	}
	r := finishScript(t, place, script)
	if r.code != 0 {
		t.Fatalf("the script exits %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, want := range wants {
		if !strings.Contains(r.all(), want) {
			t.Errorf("it does not print %q", want)
		}
	}
}

// finishScript runs a script in a directory, with a network and a data directory of its own. path is looked for
// programs first.
func finishScript(t *testing.T, place, script string, path ...string) result {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	// -x prints each command, so that the one that fails can be told.
	cmd := exec.Command("/bin/bash", "-eux", "-c", script)
	cmd.Dir = place
	cmd.Env = append(cleanEnvironment(t), "VIADUCT_DATA_DIR="+data, "PATH="+strings.Join(append(path, standIns(t),
		os.Getenv("PATH")), ":"))
	if canOwnNetwork(t) {
		ownNetwork(t, cmd)
	} else {
		t.Log("this host allows no network namespace, so the default addresses are used on the host itself")
	}
	r := finish(t, cmd, "")
	killUsers(t, data)
	return r
}

// killUsers kills whatever still uses a data directory; there should be nothing.
func killUsers(t testing.TB, data string) {
	t.Helper()
	left := processesUsing(data)
	if len(left) > 0 {
		t.Errorf("left behind: %s", describeAll(left))
	}
	for _, pid := range left {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// standIns is a directory for the front of PATH. Its `go` knows the README's one build command, which it answers with
// the binary that these tests have built from the same tree. Its `curl` is there only on a machine that has none.
func standIns(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, script string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("go", fmt.Sprintf("[ \"$*\" = 'build -o viaduct ./cmd/viaduct' ] || { echo \"not the README's build: $*\"; "+
		"exit 1; }\ncp %s viaduct\n", viaductPath(t)))
	if _, err := exec.LookPath("curl"); err != nil {
		write("curl", fmt.Sprintf("exec env %s=1 %s \"$@\"\n", curlVariable, self))
	}
	return dir
}

// curlVariable tells this binary that it is to stand in for curl.
const curlVariable = "VIADUCT_TEST_CURL"

// curl is `curl -s URL`.
func curl(args []string) int {
	if len(args) != 2 || args[0] != "-s" {
		fmt.Fprintf(os.Stderr, "this stand-in for curl only knows -s URL, not %v\n", args)
		return 2
	}
	body, err := fetch(args[1])
	fmt.Print(body)
	if err != nil {
		return 7
	}
	return 0
}
