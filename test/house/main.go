// Command house measures the source of this repository.
//
//	house numbers [DIR]     sizes, complexity, comments and tests, as a table
//	house words [DIR]       words that comments and messages avoid, with their places
//	house concurrent [DIR]  the packages that the race detector must run, one a line
//
// DIR is the root of a repository; by default the current directory.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 || len(os.Args) > 3 {
		log.Fatal("usage: house numbers|words|concurrent [DIR]")
	}
	root := "."
	if len(os.Args) == 3 {
		root = os.Args[2]
	}
	if err := run(os.Stdout, os.Args[1], root); err != nil {
		log.Fatal("house: ", err)
	}
}

func run(out io.Writer, command, root string) error {
	files, err := readFiles(root)
	if err != nil {
		return err
	}
	switch command {
	case "numbers":
		printNumbers(out, files)
	case "words":
		printWords(out, files)
	case "concurrent":
		for _, folder := range concurrent(files) {
			fmt.Fprintf(out, "./%s\n", folder)
		}
	default:
		return fmt.Errorf("unknown command %q", command)
	}
	return nil
}
