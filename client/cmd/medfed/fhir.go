package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/client/fhir"
)

func newConsentExport(a *app) *cobra.Command {
	release := newRelease()
	c := &cobra.Command{
		Use:   "export CONSENT --fhir r4|r5",
		Short: "Print a consent as an HL7 FHIR Consent resource",
		Long: `Print a consent as an HL7 FHIR Consent resource in JSON, R4 or R5: parties,
status, purposes, period, record and versions, every offer and agreement. It
denies by default and permits in one rule. Private terms are not in it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := consent.CheckConsentID(args[0]); err != nil {
				return err
			}
			state, err := getConsent(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			resource, err := fhir.Export(state, fhir.Release(release.value))
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(resource)
			return written(err)
		},
	}
	c.Flags().Var(release, "fhir", "release of FHIR")
	return c
}

func newConsentImport(a *app) *cobra.Command {
	release := newRelease()
	c := &cobra.Command{
		Use:   "import FILE --fhir r4|r5",
		Short: "Read an HL7 FHIR Consent resource and say of every field where it goes",
		Long: `Read an HL7 FHIR Consent resource in JSON ("-" for standard input) and say of
every field where it goes in a consent of medfed, or why medfed can't hold it.
Nothing is sent: what was read is a draft, which the parties negotiate with
"consent request".`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := readResource(args[0])
			if err != nil {
				return err
			}
			imported, err := fhir.Import(text, fhir.Release(release.value))
			if err != nil {
				return err
			}
			return a.print(imported, func(w io.Writer) { printImported(w, imported) })
		},
	}
	c.Flags().Var(release, "fhir", "release of FHIR")
	return c
}

func newRelease() *choice {
	allowed := make([]string, 0, len(fhir.Releases()))
	for _, r := range fhir.Releases() {
		allowed = append(allowed, string(r))
	}
	return &choice{value: string(fhir.R4), allowed: allowed}
}

// readResource reads a file, or standard input for "-", up to what a resource may
// have and one byte more, which Import then refuses.
func readResource(name string) ([]byte, error) {
	file := os.Stdin
	if name != "-" {
		opened, err := os.Open(name)
		if err != nil {
			return nil, unreadable(name, err)
		}
		defer opened.Close()
		file = opened
	}
	text, err := io.ReadAll(io.LimitReader(file, fhir.MaxResource+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	return text, nil
}

func unreadable(name string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return codes.Wrapf("MF-FHIR-FILE", "%s can't be read: %w; name a file with a Consent resource in JSON", name, err)
}

func printImported(w io.Writer, i *fhir.Imported) {
	fmt.Fprintf(w, "id\t%s\nstatus\t%s\ngrantor\t%s\ngrantee\t%s\ncontroller\t%s\n", orDash(i.ID), orDash(string(i.Status)),
		orDash(i.Grantor.ID), orDash(i.Grantee.ID), orDash(i.Controller.ID))
	fmt.Fprintf(w, "record\t%s\npurposes\t%s\nuntil\t%s\ndecision\t%s\nmissing\t%s\n\n", orDash(i.Record),
		orDash(strings.Join(i.Terms.Purposes, ", ")), moment(i.Terms.Period.Until), i.Decision, orDash(strings.Join(i.Missing, ", ")))
	fmt.Fprintln(w, "FIELD\tGOES TO")
	for _, f := range i.Mapped {
		fmt.Fprintf(w, "%s\t%s\n", f.Path, f.To)
	}
	for _, f := range i.Unmapped {
		fmt.Fprintf(w, "%s\t– (%s)\n", f.Path, f.Why)
	}
}
