package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/test-network/scenario"
	"github.com/medfed/medfed/trainer/dataset"
)

// poisonedNode is the process of the node that sends poisoned weights. It takes
// the flags of medfed node run that a scenario uses.
func poisonedNode() *cobra.Command {
	t := scenario.TamperedNode{Folder: os.Getenv(dataset.FolderVariable)}
	from, shard := 1, ""
	c := &cobra.Command{
		Use:    "poisoned-node TASK",
		Short:  "Run a node that sends poisoned weights (started by the demo)",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := fmt.Sscanf(shard, "%d/%d", &t.Shard, &t.Shards); err != nil || t.Shard < 1 || t.Shard > t.Shards {
				return codes.Errorf("MF-USAGE", "--shard %q is no share; write for instance 2/9", shard)
			}
			t.Task = args[0]
			t.Tamper = scenario.SignFlip(from)
			return t.Run(cmd.Context())
		},
	}
	flags := c.Flags()
	flags.IntVar(&from, "from", from, "first round in which the weights are poisoned")
	flags.StringVar(&t.Profile, "profile", "", "connection profile")
	flags.StringVar(&t.Identity, "identity", "", "MSP folder of the identity")
	flags.StringVar(&t.Data, "data", "", "data set")
	flags.StringVar(&shard, "shard", "", "this node's share of the examples, i/n")
	flags.Int64Var(&t.Seed, "seed", 1, "of the split")
	flags.StringVar(&t.Journal, "journal", "", "file to append a line of JSON to for everything that took time")
	return c
}
