package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/ingest"
	"github.com/medfed/medfed/client/record"
)

// ingestedEntry is one line of what "ingest list" prints.
type ingestedEntry struct {
	Entry       string `json:"entry"` // the record it is or will be
	State       string `json:"state"` // staged, assigning, registered or erased
	ContentType string `json:"content_type"`
	Label       string `json:"label"`
	Size        int64  `json:"size"`
	Patient     string `json:"patient"` // pseudonym
	Path        string `json:"path"`
}

func newIngestList(a *app, f *ingestFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List what was ingested, and which patients it was assigned to",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if f.state == "" {
				if err := a.needIdentity(); err != nil {
					return err
				}
			}
			listed := []ingestedEntry{} // of an officer who has ingested nothing yet
			j, err := ingest.OpenJournal(f.stateFolder(a))
			if err == nil {
				listed, err = listEntries(j)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return a.print(listed, func(w io.Writer) {
				fmt.Fprintln(w, "ENTRY\tSTATE\tTYPE\tLABEL\tBYTES\tPATIENT\tFILE")
				for _, e := range listed {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", e.Entry, e.State, orDash(e.ContentType), orDash(e.Label), e.Size, orDash(e.Patient), orDash(e.Path))
				}
			})
		},
	}
}

func listEntries(j *ingest.Journal) ([]ingestedEntry, error) {
	entries, err := j.Entries()
	if err != nil {
		return nil, err
	}
	assigned, err := j.Assignments()
	if err != nil {
		return nil, err
	}
	listed := []ingestedEntry{}
	for _, e := range entries {
		a, found := assigned[e.Record]
		line := ingestedEntry{Entry: e.Record, State: "staged", ContentType: e.ContentType, Label: e.Label, Size: e.Size, Patient: a.Patient, Path: e.Path}
		switch {
		case e.Erased:
			line.State = "erased"
		case a.Added != nil:
			line.State = "registered"
		case found:
			line.State = "assigning"
		}
		listed = append(listed, line)
	}
	return listed, nil
}

func newIngestAssign(a *app, f *ingestFlags) *cobra.Command {
	var patient ingest.Patient
	var kind, identifier string
	var replicas []string
	c := &cobra.Command{
		Use:   "assign ENTRY --patient PSEUDONYM",
		Short: "Give an ingested entry its patient, and register it as version 1 of a record",
		Long: `Give an ingested entry, named as "ingest list" prints it, its patient: its key is
wrapped for your hospital and the patient, it is pinned on the node of every
--replica, and registered on the ledger as version 1 of a record. It is done once:
the same command again, after a kill too, gives the same record. An "ingest" may be
running meanwhile.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			switch {
			case patient.Pseudonym == "":
				return usage("no --patient is named; use the pseudonym the patient is enrolled under")
			case identifier == "":
				return usage("no --patient-identifier-file is named; it holds your own identifier of the patient and goes to your collection alone")
			case len(replicas) == 0:
				return usage("no --replica is named; a second member's node must keep the file before the ledger hears of it")
			}
			var err error
			if patient.Identifier, err = readSecret(cmd.InOrStdin(), identifier); err != nil {
				return err
			}
			return a.records(replicas, func(c *record.Client) error {
				j, err := ingest.OpenJournal(f.stateFolder(a))
				if err != nil {
					return err
				}
				if patient.Kind = records.Kind(kind); kind == "" {
					patient.Kind = kindOf(j, args[0])
				}
				added, err := j.Assign(cmd.Context(), c, args[0], patient)
				if err != nil {
					return err
				}
				return a.print(added, func(w io.Writer) { printAdded(w, added) })
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&patient.Pseudonym, "patient", "", "pseudonym that the patient is enrolled under")
	flags.StringVar(&identifier, "patient-identifier-file", "", "file with your own identifier of the patient, - for standard input")
	flags.StringVar(&kind, "kind", "", "kind of the record: "+kinds()+" (default by the file's type)")
	flags.StringArrayVar(&replicas, "replica", nil, "connection profile of another member whose node keeps the file too; at least one")
	return c
}

// kindOf is the kind of record that an entry's type suggests. An entry that is not
// there is refused later.
func kindOf(j *ingest.Journal, id string) records.Kind {
	entries, _ := j.Entries()
	for _, e := range entries {
		if e.Record != id {
			continue
		}
		switch e.ContentType {
		case ingest.TypeFHIR:
			return records.KindEHR
		case ingest.TypePNG, ingest.TypeJPEG:
			return records.KindImage
		case ingest.TypeCSV:
			return records.KindBiomedical
		}
	}
	return records.KindEMR
}

// imageSet is what "ingest images" prints.
type imageSet struct {
	Folder string       `json:"folder"`
	Labels []imageLabel `json:"labels"`
	Erased int          `json:"erased"` // entries forgotten, because their records are erased
}

type imageLabel struct {
	Label  string `json:"label"`
	Images int    `json:"images"`
}

func newIngestImages(a *app, f *ingestFlags) *cobra.Command {
	var output string
	var labels []string
	c := &cobra.Command{
		Use:   "images --out DIR",
		Short: "Make a training set of the ingested images: a folder for each label",
		Long: `Decrypt the ingested images into a folder for each label, which is the name of the
folder they were found in; every image is checked against its digest. Images of
records that are erased are left out. The files are the patients' plain images:
remove them after training.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output == "" {
				return usage("no --out is named; name the folder to write to")
			}
			return a.records(nil, func(c *record.Client) error {
				j, err := ingest.OpenJournal(f.stateFolder(a))
				if err != nil {
					return err
				}
				set, err := writeSet(cmd.Context(), j, c, output, labels)
				if err != nil {
					return err
				}
				return a.print(set, func(w io.Writer) {
					fmt.Fprintln(w, "LABEL\tIMAGES")
					for _, l := range set.Labels {
						fmt.Fprintf(w, "%s\t%d\n", l.Label, l.Images)
					}
				})
			})
		},
	}
	c.Flags().StringVarP(&output, "out", "o", "", "folder to write to; made when it is absent")
	c.Flags().StringArrayVar(&labels, "label", nil, "label to write (default all that images were found in)")
	return c
}

func writeSet(ctx context.Context, j *ingest.Journal, c *record.Client, output string, labels []string) (imageSet, error) {
	set := imageSet{Folder: output, Labels: []imageLabel{}}
	if c.Own == nil {
		return set, codes.Errorf("MF-PROFILE-IPFS", "the profile names no private IPFS node; use the profile of the hospital that ingested")
	}
	var err error
	if set.Erased, err = j.ForgetErased(ctx, c); err != nil {
		return set, err
	}
	entries, err := j.Entries()
	if err != nil {
		return set, err
	}
	open, err := c.HospitalKeys(ctx)
	if err != nil {
		return set, err
	}
	found := ingest.Labels(entries)
	if len(labels) == 0 {
		labels = found
	}
	if err := os.MkdirAll(output, 0o700); err != nil {
		return set, codes.Wrapf("MF-INGEST-OUTPUT", "the folder can't be made: %w; choose another", err)
	}
	for _, label := range labels {
		n, err := ingest.WriteImages(ctx, c.Own, open, entries, label, output)
		if err != nil {
			return set, err
		}
		if n == 0 {
			return set, usage("no image was found in a folder %q; the labels are %s", label, orDash(strings.Join(found, ", ")))
		}
		set.Labels = append(set.Labels, imageLabel{label, n})
	}
	return set, nil
}
