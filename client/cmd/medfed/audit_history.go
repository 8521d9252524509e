package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/gateway"
)

func newAuditHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history OBJECT PART...",
		Short: "Show every committed value of a key, for instance: history negotiation c-… (role auditor)",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := ledger.ParseKey(args[0], args[1:]); err != nil {
				return err
			}
			history, err := ask(a, func(r gateway.Contracts, _ *gateway.Identity) (ledger.History, error) {
				return r.Audit.History(cmd.Context(), ledger.HistoryRequest{Object: args[0], Parts: args[1:]})
			})
			if err != nil {
				return err
			}
			return a.print(history, func(w io.Writer) {
				fmt.Fprintln(w, "TIME\tBY\tTRANSACTION\tVALUE")
				for _, entry := range history.Entries {
					value := entry.Value
					if entry.Deleted {
						value = "deleted"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", moment(entry.Timestamp), orDash(entry.By), entry.TxID, value)
				}
			})
		},
	}
}
