package audit_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/medfed/medfed/client/audit"
)

// A bundle is verified on any machine, without a network. The hash of the first
// block comes from somebody who knows the channel, not with the bundle.
func ExampleVerifyFile() {
	genesis, err := os.ReadFile("testdata/two-rounds.audit.genesis")
	if err != nil {
		log.Fatal(err)
	}
	summary, err := audit.VerifyFile(context.Background(), "testdata/two-rounds.audit", audit.Options{Genesis: strings.TrimSpace(string(genesis))})
	if err != nil {
		log.Fatal(err)
	}
	for _, task := range summary.Tasks {
		fmt.Printf("%s: task %s has %d rounds\n", summary.Channel, task.Task, task.Rounds)
	}
	fmt.Println(len(summary.Differences), "differences from what the rules make of it")
	// Output:
	// medfed: task audited has 2 rounds
	// 0 differences from what the rules make of it
}
