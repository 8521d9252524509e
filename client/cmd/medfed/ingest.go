package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ingest"
	"github.com/medfed/medfed/client/record"
)

// ingestFlags are those of "ingest".
type ingestFlags struct {
	folder, state  string
	once           bool
	settle, rescan time.Duration
}

func newIngest(a *app) *cobra.Command {
	f := &ingestFlags{}
	c := &cobra.Command{
		Use:   "ingest --folder DIR",
		Short: "Watch a folder and take each finished file, encrypted, into the hospital's IPFS and collection",
		Long: `Watch a folder and all below it. Each finished FHIR bundle, PNG or JPEG image,
PDF or CSV series, told by its content, is encrypted under a key of its own,
stored in your hospital's private IPFS, and staged in its collection as version
1 of a record that is not public yet: "ingest list" shows them, "ingest assign"
gives one a patient and registers it, "ingest images" makes a training set of the
images. The same content is taken once, across
restarts too. The identity must be an officer's (role custodian). Hidden files
and those that end in .tmp, .part, .partial or ~ are passed over.`,
		Args: noUnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.folder == "" {
				return usage("no --folder is named; name the folder that your machines write into")
			}
			if f.settle <= 0 || f.rescan <= 0 {
				return usage("--settle and --rescan must be above 0; write for instance 2s")
			}
			return a.ingest(cmd.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.folder, "folder", "", "folder to watch")
	c.PersistentFlags().StringVar(&f.state, "state", "", "folder of the journal (default ingest in the identity's MSP folder)")
	flags.BoolVar(&f.once, "once", false, "end when everything that is there has been taken or refused")
	flags.DurationVar(&f.settle, "settle", 2*time.Second, "how long a file must stay as it is to be finished")
	flags.DurationVar(&f.rescan, "rescan", 30*time.Second, "how often to look through the folder besides")
	c.AddCommand(newIngestList(a, f), newIngestAssign(a, f), newIngestImages(a, f))
	return c
}

// ingested is one line of what "ingest" prints.
type ingested struct {
	Path        string     `json:"path"`
	Result      string     `json:"result"` // ingested, known, refused or waits
	ContentType string     `json:"content_type,omitempty"`
	Record      string     `json:"record,omitempty"`
	Code        codes.Code `json:"code,omitempty"`
	Message     string     `json:"message,omitempty"`
}

// stateFolder is where the journal lies.
func (f *ingestFlags) stateFolder(a *app) string {
	if f.state == "" {
		return filepath.Join(a.identity, "ingest")
	}
	return f.state
}

func (a *app) ingest(ctx context.Context, f *ingestFlags) (err error) {
	l, err := a.ledger()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	key, err := a.ageIdentity()
	if err != nil {
		return err
	}
	stores, err := a.stores()
	if err != nil {
		return err
	}
	store, err := stores.NeedPrivate()
	if err != nil {
		return err
	}
	officer := &record.Client{MSP: l.Identity().MSP, Ledger: gateway.ContractsOf(l), Keys: stores.DocumentKeys}
	if _, err := officer.HospitalRecipient(ctx); err != nil { // before the folder is looked at
		return err
	}
	shown := a.newBars()
	defer func() { shown.Close() }()
	var unprinted error
	report := func(r ingest.Result) { // each file has bars of its own, gone when it is done
		shown.Close()
		unprinted = errors.Join(unprinted, a.printIngested(r))
		shown = a.newBars()
	}
	i, err := ingest.Open(ingest.Options{
		Folder: f.folder, State: f.stateFolder(a), Custodian: officer.MSP, Key: key, Recipient: officer.HospitalRecipient,
		Store: store, Ledger: officer.Ledger.Records, Sealer: officer, Settle: f.settle, Rescan: f.rescan, Report: report,
		Progress: func(step string, done, total int64) { shown.Bytes(step, done, total) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unprinted, i.Close()) }()
	if f.once {
		return i.Once(ctx)
	}
	return i.Run(ctx)
}

func (a *app) printIngested(r ingest.Result) error {
	line := ingested{Path: r.Path, Result: "ingested"}
	switch {
	case r.Err != nil:
		line.Result, line.Code, line.Message = "refused", codes.Of(r.Err), r.Err.Error()
		if exit.OfCode(line.Code) == exit.Unreachable {
			line.Result = "waits"
		}
	case r.Duplicate:
		line.Result = "known"
	}
	if r.Entry != nil {
		line.ContentType, line.Record = r.Entry.ContentType, r.Entry.Record
	}
	return a.printLine(line, func(w io.Writer) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", line.Result, orDash(line.Path), orDash(line.Record), orDash(line.Message))
	})
}
