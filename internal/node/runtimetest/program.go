package runtimetest

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"viaduct/internal/node/runtime"
)

// A Program is what a fake container runs. The first word of a command names it.
type Program struct {
	// Run is the program. It must return when p.Killed is closed.
	Run func(p *Process) (exitCode int)
	// HandlesTerm: SIGTERM closes p.Terminated. Without it, SIGTERM kills.
	HandlesTerm bool
}

// A Process is one execution of a Program, by the start of a container or by Exec.
type Process struct {
	Args           []string // of the command, without the program's name
	Env            []string // NAME=value
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	TTY            bool
	Resize         <-chan runtime.TerminalSize // nil: none come
	Terminated     <-chan struct{}             // closed by SIGTERM, if the program handles it
	Killed         <-chan struct{}             // closed by a signal that kills, or by the end of Exec's ctx
}

// builtin gives the programs that every fake runtime has:
//
//	exit CODE     ends with the code
//	print TEXT    prints the text and a line end
//	sleep         runs until a signal ends it
//	stubborn      prints "ready", ignores SIGTERM and runs until it is killed
//	cat           copies its input to its output
//	winsize       prints WIDTHxHEIGHT at the first change of its terminal's size
func builtin() map[string]Program {
	return map[string]Program{
		"exit": {Run: func(p *Process) int {
			code, err := strconv.Atoi(strings.Join(p.Args, ""))
			if err != nil {
				return 2
			}
			return code
		}},
		"print": {Run: func(p *Process) int {
			return printed(fmt.Fprintln(p.Stdout, strings.Join(p.Args, " ")))
		}},
		"sleep": {Run: func(p *Process) int {
			<-p.Killed
			return 0
		}},
		"stubborn": {HandlesTerm: true, Run: func(p *Process) int {
			code := printed(fmt.Fprintln(p.Stdout, "ready"))
			<-p.Killed
			return code
		}},
		"cat": {Run: func(p *Process) int {
			_, err := io.Copy(p.Stdout, p.Stdin)
			return printed(0, err)
		}},
		"winsize": {Run: func(p *Process) int {
			select {
			case size := <-p.Resize:
				return printed(fmt.Fprintf(p.Stdout, "%dx%d\n", size.Width, size.Height))
			case <-p.Killed:
				return 1
			}
		}},
	}
}

// printed is the exit code of a program that ends with a write.
func printed(_ int, err error) int {
	if err != nil {
		return 1
	}
	return 0
}
