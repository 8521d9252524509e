// Command codelist prints every error code of medfed with its exit status and
// meaning, and the exit statuses, as the Markdown that stands in docs/codes.md. Run
// it from the repository's root:
//
//	go run ./client/cmd/medfed/codelist            prints it
//	go run ./client/cmd/medfed/codelist -write     puts it into docs/codes.md
//
// A code's meaning is that of chaincode/codes, or of the list in its package's
// documentation, or else the message that goes with it.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", ".", "the repository's root")
	file := flag.String("file", "docs/codes.md", "file whose list is written, below the root")
	write := flag.Bool("write", false, "put the list between the marks of the file")
	flag.Parse()
	if err := list(*root, *file, *write); err != nil {
		fmt.Fprintln(os.Stderr, "codelist:", err)
		os.Exit(1)
	}
}

func list(root, file string, write bool) error {
	found, err := scan(root)
	if err != nil {
		return err
	}
	text := markdown(found)
	if !write {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	return update(root, file, text)
}
