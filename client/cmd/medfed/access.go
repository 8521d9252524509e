package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

func newAccess(a *app) *cobra.Command {
	return group("access", "Use a consent, and see who used which", newAccessOpen(a), newAccessList(a))
}

func newAccessOpen(a *app) *cobra.Command {
	use := record.Use{}
	var force bool
	c := &cobra.Command{
		Use:   "open CONSENT --version N --purpose CODE --out FILE",
		Short: "Ask for a version by a consent; the ledger logs it, and a permit fetches the file (role requester)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			use.Consent = args[0]
			if err := checkUse(use); err != nil {
				return err
			}
			if err := checkOutput(use.Output, force); err != nil {
				return err
			}
			return a.records(nil, func(c *record.Client) error {
				opened, err := c.Open(cmd.Context(), use)
				if opened.File == nil { // a denial is printed too: it is on the ledger
					return errors.Join(err, a.printDenial(opened.Access))
				}
				return a.print(opened, func(w io.Writer) {
					fmt.Fprintf(w, "access\t%s, %s\n", opened.Access.Access, opened.Access.Decision)
					printFetched(w, *opened.File)
				})
			})
		},
	}
	c.Flags().IntVar(&use.Version, "version", 0, "version of the record")
	c.Flags().Lookup("version").DefValue = "0"
	c.Flags().StringVar(&use.Purpose, "purpose", "", "HL7 PurposeOfUse code that the consent was given for")
	c.Flags().StringVarP(&use.Output, "out", "o", "", "file to write")
	c.Flags().BoolVar(&force, "force", false, "write over an existing file")
	return c
}

func checkUse(use record.Use) error {
	if err := consent.CheckConsentID(use.Consent); err != nil {
		return err
	}
	switch {
	case use.Version < 1:
		return usage("no --version is named; versions are counted from 1")
	case !consent.IsPurpose(use.Purpose):
		return usage("--purpose is %q; use a code of HL7's PurposeOfUse, for instance HPAYMT", use.Purpose)
	case use.Output == "":
		return usage("no --out is named; name the file to write")
	}
	return nil
}

// printDenial prints an access that was logged as denied, nothing for one that
// never came to the ledger.
func (a *app) printDenial(access consent.Access) error {
	if access.Decision != consent.Deny {
		return nil
	}
	return a.print(record.Opened{Access: access}, func(w io.Writer) {
		fmt.Fprintf(w, "access\t%s, %s: %s\n", access.Access, access.Decision, access.Code)
	})
}

// listFlags are those of "access list".
type listFlags struct {
	by          choice
	value       string
	from, until string
	page        int
	bookmark    string
}

func newAccessList(a *app) *cobra.Command {
	f := &listFlags{by: choice{"", []string{"patient", "record", "grantee", "all"}}}
	c := &cobra.Command{
		Use:   "list",
		Short: "List accesses, permitted and denied, newest first; an auditor sees all, others their own, an officer those to the hospital's records",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkList(f.by.value, f.value, "all"); err != nil {
				return err
			}
			request := consent.AccessListRequest{By: f.by.value, Value: f.value, Bookmark: f.bookmark, PageSize: f.page}
			var err error
			if request.From, err = unixOf("--from", f.from); err != nil {
				return err
			}
			if request.Until, err = unixOf("--until", f.until); err != nil {
				return err
			}
			page, err := ask(a, func(r gateway.Contracts, who *gateway.Identity) (consent.AccessPage, error) {
				if request.By == "" {
					request.By, request.Value = ownList(who)
				}
				switch {
				case request.By == ownedByCustodian:
					all, err := r.AccessesOfCustodian(cmd.Context(), request.Value, request.From, request.Until)
					return consent.AccessPage{Accesses: all}, err
				case request.By == "" && who.Role == consortium.RoleAuditor:
					request.By = string(ledger.AllAccesses)
				}
				return r.Audit.ListAccesses(cmd.Context(), request)
			})
			if err != nil {
				return err
			}
			return a.print(page, func(w io.Writer) { printAccesses(w, page) })
		},
	}
	flags := c.Flags()
	flags.Var(&f.by, "by", "which list; default your own, or all for an auditor")
	flags.StringVar(&f.value, "value", "", "with --by: "+listValues)
	flags.StringVar(&f.from, "from", "", "earliest time, RFC 3339")
	flags.StringVar(&f.until, "until", "", "latest time, RFC 3339")
	flags.IntVar(&f.page, "page-size", 100, "accesses on a page, 1 to 1000")
	flags.StringVar(&f.bookmark, "bookmark", "", "where the last page ended")
	return c
}

func printAccesses(w io.Writer, page consent.AccessPage) {
	fmt.Fprintln(w, "TIME\tDECISION\tCODE\tRECORD\tVERSION\tPURPOSE\tGRANTEE\tCONSENT\tTRANSACTION")
	for _, x := range page.Accesses {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", moment(x.At), x.Decision, orDash(x.Code), x.Record, x.Version, x.Purpose, x.Grantee, x.Consent, x.TxID)
	}
	if page.Bookmark != "" {
		fmt.Fprintf(w, "\nmore with --bookmark %s\n", page.Bookmark)
	}
}
