package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/audit"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

func newAudit(a *app) *cobra.Command {
	return group("audit", "Check the ledger offline, and see how any document of it came to be",
		newAuditExport(a), newAuditVerify(a), newAuditHistory(a))
}

func newAuditExport(a *app) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "export --out FILE",
		Short: "Write every block of the channel into one file",
		Long: `Write every block of the channel, its configurations included, into one file
that can be checked without a network. Prints two hashes. Whoever verifies the
file trusts the first block's and nothing else, so give it to them by another
way than the file, and let them ask several organisations for it. The last
block's shows that nothing was left off the end.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usage("no file is named; use --out")
			}
			l, err := a.ledger()
			if err != nil {
				return err
			}
			defer l.Close()
			source, ok := l.(audit.Source)
			if !ok {
				return codes.Errorf("MF-INTERNAL", "the connection gives no blocks; report this")
			}
			bars := a.newBars()
			done, err := audit.Export(cmd.Context(), source, l.Identity().ID(), out, bars)
			bars.Close()
			if err != nil {
				return err
			}
			return a.print(done, func(w io.Writer) { printExported(w, done) })
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write; it must not exist")
	return c
}

func printExported(w io.Writer, e audit.Exported) {
	fmt.Fprintf(w, "file\t%s\nbytes\t%d\nchannel\t%s\nblocks\t%d\n", e.File, e.Bytes, e.Channel, e.Blocks)
	fmt.Fprintf(w, "first block\t%s\nlast block\t%s\n", e.Genesis, e.Head)
}

func newAuditVerify(a *app) *cobra.Command {
	var genesis, head string
	c := &cobra.Command{
		Use:   "verify FILE --genesis HASH",
		Short: "Check an exported ledger without a network",
		Long: fmt.Sprintf(`Check what audit export wrote, without a network: the chain of hashes, the
orderers' signatures, every configuration by the policy that lets it be changed,
every transaction's signatures and endorsement policies, the validity of each,
the hash of the state that the peer noted, every round, replayed by the rules,
and every record, consent and access, decided again. What is private can't be
replayed, for the ledger has only hashes of it: the output says how much that is.
Exits %d at the first thing that does not hold, naming the block and the
transaction.`, exit.Corrupt),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if genesis == "" {
				return usage("no first block is named; use --genesis with the hash that audit export printed, from somebody you trust")
			}
			bars := a.newBars()
			summary, err := audit.VerifyFile(cmd.Context(), args[0], audit.Options{
				Genesis: strings.ToLower(genesis), Head: strings.ToLower(head), Progress: bars,
			})
			bars.Close()
			if summary == nil {
				return err
			}
			// With differences there is a summary and an error.
			if printed := a.print(summary, func(w io.Writer) { printSummary(w, summary) }); err == nil {
				err = printed
			}
			return err
		},
	}
	c.Flags().StringVar(&genesis, "genesis", "", "hash of the channel's first block, in hexadecimal")
	c.Flags().StringVar(&head, "head", "", "hash of the last block, in hexadecimal (default whatever the file ends with)")
	return c
}

func printSummary(w io.Writer, s *audit.Summary) {
	fmt.Fprintf(w, "channel\t%s\nblocks\t%d, %d with a configuration\n", s.Channel, s.Blocks, s.Configurations)
	fmt.Fprintf(w, "first block\t%s\nlast block\t%s\n", s.Genesis, s.Head)
	fmt.Fprintf(w, "transactions\t%d\n", s.Transactions)
	for _, code := range slices.Sorted(maps.Keys(s.Validity)) {
		fmt.Fprintf(w, "  %s\t%d\n", code, s.Validity[code])
	}
	fmt.Fprintf(w, "signatures\t%d of orderers, %d of creators, %d of endorsers, %d of updates of the configuration\n",
		s.Signatures.Orderers, s.Signatures.Creators, s.Signatures.Endorsements, s.Signatures.Updates)
	fmt.Fprintf(w, "states as the peer noted\t%d\n", s.States)
	fmt.Fprintf(w, "documents\t%d\n", s.Keys)
	for _, t := range s.Tasks {
		fmt.Fprintf(w, "task %s\t%s, %d rounds, %d closed\n", t.Task, t.Phase, t.Rounds, t.Closed)
	}
	fmt.Fprintf(w, "rounds replayed\t%d\n", s.Rounds)
	fmt.Fprintf(w, "decided again\t%d records, %d consents with %d versions, %d permits, %d denials\n",
		s.Records, s.Consents, s.Agreements, s.Accesses.Permits, s.Accesses.Denials)
	for _, p := range s.Private {
		fmt.Fprintf(w, "not replayed, private\t%s: %d documents written, %d purged; only their hashes are on the ledger\n", p.Collection, p.Written, p.Purged)
	}
	fmt.Fprintf(w, "differences\t%d\n", len(s.Differences))
	for _, d := range s.Differences {
		fmt.Fprintf(w, "  %s\t%s: ledger %s, rules %s\n", d.Where(), d.What, d.Ledger, d.Replayed)
	}
}
