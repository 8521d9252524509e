// Command transactionlist prints every transaction of the chaincode, from the
// contract metadata alone, as the Markdown of docs/transactions.md. Run it from the
// repository's root:
//
//	go run ./client/cmd/medfed/transactionlist            prints it
//	go run ./client/cmd/medfed/transactionlist -write     writes docs/transactions.md
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/medfed/medfed/chaincode/contract"
)

func main() {
	file := flag.String("file", "docs/transactions.md", "file that is written")
	write := flag.Bool("write", false, "write the file")
	flag.Parse()
	if err := list(*file, *write); err != nil {
		fmt.Fprintln(os.Stderr, "transactionlist:", err)
		os.Exit(1)
	}
}

func list(file string, write bool) error {
	metadata, err := contract.Metadata()
	if err != nil {
		return err
	}
	text, err := markdown(metadata)
	if err != nil {
		return err
	}
	if !write {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
