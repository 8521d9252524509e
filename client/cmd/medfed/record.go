package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

func newRecord(a *app) *cobra.Command {
	return group("record", "Register a patient's records and their versions, fetch them, erase them",
		newRecordAdd(a), newRecordList(a), newRecordShow(a), newRecordVersions(a), newRecordGet(a), newRecordDeprecate(a), newRecordErase(a), newRecordAttest(a), newRecordRewrap(a), newRecordRestore(a))
}

// addFlags are those of "record add".
type addFlags struct {
	record, kind, patient, identifier, recipient, contentType string
	replicas                                                  []string
}

func newRecordAdd(a *app) *cobra.Command {
	f := &addFlags{}
	c := &cobra.Command{
		Use:   "add FILE",
		Short: "Register a file as a new record, or as the next version of one",
		Long: `Register a file as a new record, or with --record as the next version of one.
The identity must be an officer's (role custodian). The file is encrypted here
under a key of its own, stored in your organisation's private IPFS, pinned on
the node of every --replica, and only then named on the ledger. The key is wrapped
for your hospital, whose officers can all open it, and for the patient, as the
directory says. What says whose it is goes to your own peer's collection alone.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.add(cmd, a, args[0])
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.record, "record", "", "record that gets another version (default a new record)")
	flags.StringVar(&f.kind, "kind", string(records.KindImage), "kind of a new record: "+kinds())
	flags.StringVar(&f.patient, "patient", "", "pseudonym that a new record's patient is enrolled under")
	flags.StringVar(&f.recipient, "patient-recipient", "", "the patient's age recipient (default the one in the directory)")
	flags.StringVar(&f.identifier, "patient-identifier-file", "", "file with your own identifier of the patient, - for standard input")
	flags.StringVar(&f.contentType, "content-type", "", "media type (default by the file's name or content)")
	flags.StringArrayVar(&f.replicas, "replica", nil, "connection profile of another member whose node keeps the file too; at least one")
	return c
}

func kinds() string {
	words := []string{}
	for _, kind := range records.Kinds() {
		words = append(words, string(kind))
	}
	return strings.Join(words, ", ")
}

func (f *addFlags) check() error {
	switch {
	case len(f.replicas) == 0:
		return usage("no --replica is named; a second member's node must keep the file before the ledger hears of it")
	case f.record != "" && f.patient != "":
		return usage("--patient is for a new record; leave it out with --record")
	case f.record != "":
		return records.CheckRecordID(f.record)
	case f.patient == "":
		return usage("no --patient is named; use the pseudonym the patient is enrolled under")
	case f.identifier == "":
		return usage("no --patient-identifier-file is named; it holds your own identifier of the patient and goes to your collection alone")
	}
	return nil
}

func (f *addFlags) add(cmd *cobra.Command, a *app, path string) error {
	addition := record.Addition{
		Record: f.record, Kind: records.Kind(f.kind), Patient: f.patient, PatientRecipient: f.recipient, ContentType: f.contentType,
	}
	var err error
	if addition.PatientIdentifier, err = readSecret(cmd.InOrStdin(), f.identifier); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return usage("the file can't be read: %v; name one that can", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return usage("%s is no regular file; name one", path)
	}
	addition.File, addition.Size = file, info.Size()
	if addition.ContentType == "" {
		if addition.ContentType, addition.File, err = guessType(path, file); err != nil {
			return usage("the file can't be read: %v; name one that can", err)
		}
	}
	return a.records(f.replicas, func(c *record.Client) error {
		added, err := c.Add(cmd.Context(), addition)
		if err != nil {
			return err
		}
		return a.print(added, func(w io.Writer) { printAdded(w, added) })
	})
}

func printAdded(w io.Writer, added record.Added) {
	fmt.Fprintf(w, "record\t%s\nversion\t%d\ndigest\t%s\nbytes\t%d, encrypted\nkept by\t%s\n",
		added.Record, added.Version, added.Digest, added.Size, strings.Join(added.Holders, ", "))
}

// readSecret reads a private text from a file, "" for none, "-" for standard
// input: a flag's value could be seen in the list of processes.
func readSecret(stdin io.Reader, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, 4096))
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return "", usage("the file of the patient's identifier can't be read: %v; name one that can", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// guessType finds a file's media type by its name, or else by its first bytes,
// which it gives back in front of the rest.
func guessType(path string, file io.Reader) (string, io.Reader, error) {
	if byName := mime.TypeByExtension(filepath.Ext(path)); byName != "" {
		return byName, file, nil
	}
	first := make([]byte, 512)
	n, err := io.ReadFull(file, first)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", nil, err
	}
	return http.DetectContentType(first[:n]), io.MultiReader(bytes.NewReader(first[:n]), file), nil
}

func newRecordList(a *app) *cobra.Command {
	by, value := choice{"", []string{"patient", ownedByCustodian}}, ""
	c := &cobra.Command{
		Use:   "list",
		Short: "List the records of a patient or a custodian, by default your own",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkList(by.value, value, ""); err != nil {
				return err
			}
			found, err := ask(a, func(r gateway.Contracts, who *gateway.Identity) ([]records.Record, error) {
				if by.value == "" {
					by.value, value = ownList(who)
				}
				return gateway.Collect(r.Records.List(cmd.Context(), by.value, value))
			})
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				fmt.Fprintln(w, "RECORD\tKIND\tSTATUS\tVERSIONS\tCUSTODIAN\tPATIENT\tREGISTERED")
				for _, r := range found {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Record, r.Kind, r.Status, r.Versions, r.Custodian, r.Patient, moment(r.RegisteredAt))
				}
			})
		},
	}
	c.Flags().Var(&by, "by", "which list; default your own")
	c.Flags().StringVar(&value, "value", "", "with --by: "+listValues)
	return c
}

func newRecordShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show RECORD",
		Short: "Show what is public of a record",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			found, err := ask(a, func(r gateway.Contracts, _ *gateway.Identity) (records.Record, error) {
				return r.Records.Get(cmd.Context(), records.RecordRequest{Record: args[0]})
			})
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				fmt.Fprintf(w, "record\t%s\nkind\t%s\nstatus\t%s\nversions\t%d\ncustodian\t%s\npatient\t%s\nregistered\t%s\n",
					found.Record, found.Kind, found.Status, found.Versions, found.Custodian, found.Patient, moment(found.RegisteredAt))
			})
		},
	}
}

func newRecordVersions(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "versions RECORD",
		Short: "List a record's versions",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			found, err := ask(a, func(r gateway.Contracts, _ *gateway.Identity) ([]records.Version, error) {
				return (&record.Client{Ledger: r}).Versions(cmd.Context(), args[0])
			})
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				fmt.Fprintln(w, "VERSION\tADDED\tBYTES\tKEPT BY\tDIGEST\tBY")
				for _, v := range found {
					fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\t%s\n", v.Version, moment(v.AddedAt), v.Size, strings.Join(v.Holders, ", "), v.Digest, v.AddedBy)
				}
			})
		},
	}
}

func newRecordGet(a *app) *cobra.Command {
	var version int
	var output string
	var force bool
	c := &cobra.Command{
		Use:   "get RECORD --out FILE",
		Short: "Fetch a version as its custodian or its patient; the file is written once it is checked whole",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			switch {
			case version < 0:
				return usage("--version is %d; versions are counted from 1", version)
			case output == "":
				return usage("no --out is named; name the file to write")
			}
			if err := checkOutput(output, force); err != nil {
				return err
			}
			return a.records(nil, func(c *record.Client) error {
				fetched, err := c.Get(cmd.Context(), args[0], version, output)
				if err != nil {
					return err
				}
				return a.print(fetched, func(w io.Writer) { printFetched(w, fetched) })
			})
		},
	}
	c.Flags().IntVar(&version, "version", 0, "version to fetch (default the newest)")
	c.Flags().Lookup("version").DefValue = "0"
	c.Flags().StringVarP(&output, "out", "o", "", "file to write")
	c.Flags().BoolVar(&force, "force", false, "write over an existing file")
	return c
}

func printFetched(w io.Writer, f record.Fetched) {
	fmt.Fprintf(w, "record\t%s\nversion\t%d\ntype\t%s\nsha256\t%s\nbytes\t%d\nfile\t%s\n", f.Record, f.Version, f.ContentType, f.SHA256, f.Size, f.File)
}

func newRecordDeprecate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "deprecate RECORD",
		Short: "End new versions and new consents of a record; what was consented to goes on",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			r, err := ask(a, func(r gateway.Contracts, _ *gateway.Identity) (records.Record, error) {
				return r.Records.Deprecate(cmd.Context(), records.RecordRequest{Record: args[0]})
			})
			if err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { fmt.Fprintf(w, "record\t%s\nstatus\t%s\n", r.Record, r.Status) })
		},
	}
}

func newRecordErase(a *app) *cobra.Command {
	var replicas []string
	var status bool
	c := &cobra.Command{
		Use:   "erase RECORD",
		Short: "Erase a record: remove its files, purge what is private, attest; repeat it to go on",
		Long: `Erase a record, as its custodian or its patient. Access ends at once. Your own
node, that of every --replica and the public one remove the ciphertexts and see that
they are gone, what is private is purged from the custodian's collections, an officer
deletes the keys of what they held, and attests for the own organisation. Every other member of the private IPFS
attests with "record attest"; give them the CIDs that --format json prints the first
time. Repeat the command to complete the erasure. With --status nothing is changed:
it shows how far the erasure has come, every key that stays public, and why its
values say nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			if status {
				return a.printRemains(cmd.Context(), args[0])
			}
			return a.records(replicas, func(c *record.Client) error {
				erased, err := c.Erase(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return a.print(erased, func(w io.Writer) {
					printErasure(w, erased.Erasure)
					fmt.Fprint(w, erasureInWords)
				})
			})
		},
	}
	c.Flags().StringArrayVar(&replicas, "replica", nil, "connection profile of another member whose node forgets the record too")
	c.Flags().BoolVar(&status, "status", false, "show how far the erasure has come and what stays public; change nothing")
	return c
}

func printErasure(w io.Writer, e records.Erasure) {
	fmt.Fprintf(w, "record\t%s\nstatus\t%s\nprivate documents left\t%d\nattested\t%d of %d members\nnot attested\t%s\n",
		e.Record.Record, e.Record.Status, len(e.Remaining), len(e.Attestations), len(e.Members), orDash(strings.Join(e.Missing, ", ")))
}

// erasureInWords says what an erasure does and what it can't. Its lines fit 80 columns.
const erasureInWords = `
gone      the encrypted files, from the IPFS nodes of every member that has
          attested; identifiers and keys, from the custodian's peer as it
          answers; and, once the custodian has attested, the keys without which
          old files of its peer are worthless
remains   the ledger's public entries, which --status lists and explains; what
          the patient's own key opens in old files of the peer; backups of the
          hospital's key store, until the record's folder is deleted there too;
          the file that a grantee has opened
promised  by nobody: that a member or a grantee has kept no copy of its own, or
          that a drive has kept nothing of what was overwritten
`

// printRemains shows what stays public of a record. A value that says something,
// after the erasure is complete, is an error.
func (a *app) printRemains(ctx context.Context, id string) error {
	remains, err := ask(a, func(r gateway.Contracts, _ *gateway.Identity) (record.Remains, error) {
		return (&record.Client{Ledger: r}).Remains(ctx, id)
	})
	if err != nil {
		return err
	}
	err = a.print(remains, func(w io.Writer) {
		printErasure(w, remains.Erasure)
		fmt.Fprintf(w, "meaningless\t%s\n\nPUBLIC FOR EVER\tWHY IT SAYS NOTHING\n", yesOrNo(remains.Meaningless))
		for _, d := range remains.Public {
			why := d.Why
			if len(d.Unexplained) > 0 {
				why = append(why, "NOT EXPLAINED: "+strings.Join(d.Unexplained, ", "))
			}
			for _, key := range append([]string{d.Key}, d.Lists...) {
				fmt.Fprintf(w, "%s\t%s\n", key, strings.Join(why, "; "))
			}
		}
	})
	if err == nil && remains.Record.Status == records.Erased && !remains.Meaningless {
		err = codes.Errorf("MF-ERASURE-UNEXPLAINED", "the record is erased and something of it may still say whose it was; report this")
	}
	return err
}

func newRecordRewrap(a *app) *cobra.Command {
	var rotate bool
	c := &cobra.Command{
		Use:   "rewrap",
		Short: "Share your hospital's keys with the officers that the directory has now",
		Long: `Wrap the keys that open your hospital's records for the officers that the
directory has now: after a new officer's "identity publish", and after "identity
retire" of one who left. With --rotate the hospital gets its next key besides, so
that the keys which a former officer has seen open nothing that is added from then
on. Any officer who can open the hospital's records can do it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.records(nil, func(c *record.Client) error {
				done, err := c.Rewrap(cmd.Context(), rotate)
				if err != nil {
					return err
				}
				return a.print(done, func(w io.Writer) {
					fmt.Fprintf(w, "keys wrapped anew\t%s\nkeys you can't open\t%s\nofficers\t%s\n", numbers(done.Keys), numbers(done.Closed), strings.Join(done.Officers, ", "))
				})
			})
		},
	}
	c.Flags().BoolVar(&rotate, "rotate", false, "also make the hospital's next key")
	return c
}

func newRecordRestore(a *app) *cobra.Command {
	var replicas []string
	c := &cobra.Command{
		Use:   "restore",
		Short: "Keep your hospital's files again on an IPFS node that has lost its repository",
		Long: `Fetch the encrypted files of your hospital's records from whoever still holds
them, and pin them on your private IPFS node. The identity must be an officer's.
medfed network up does it by itself for a node that it has healed. What nobody
holds is named: add it again from its source, as a new version.

What a "record add" left on your node, and on that of every --replica, that was
killed before the ledger heard of it is removed a day later.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.records(replicas, func(c *record.Client) error {
				done, err := c.Restore(cmd.Context())
				if err != nil {
					return err
				}
				return a.print(done, func(w io.Writer) {
					fmt.Fprintf(w, "pinned\t%d\nremoved\t%d\nheld by nobody\t%s\n", done.Pinned, done.Removed, cmp.Or(strings.Join(done.Missing, ", "), "–"))
				})
			})
		},
	}
	c.Flags().StringArrayVar(&replicas, "replica", nil, "connection profile of another member whose node what was killed may have left files on")
	return c
}

// numbers prints a list of numbers, a dash for none.
func numbers(list []int) string {
	words := []string{}
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	return orDash(strings.Join(words, ", "))
}

func newRecordAttest(a *app) *cobra.Command {
	var cids []string
	var dropped bool
	c := &cobra.Command{
		Use:   "attest RECORD",
		Short: "Remove an erased record's ciphertexts from your nodes, and sign that they are gone",
		Long: `Remove an erased record's ciphertexts from your private node and from the public
one that your profile names, see that they are gone, and sign that they are. Name the
CIDs that the custodian's "record erase" printed. A member that keeps no version may
leave them out: its nodes then remove all that is not pinned, for a copy stays behind
wherever a file went through.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			return a.records(nil, func(c *record.Client) error {
				attested, err := c.Attest(cmd.Context(), args[0], cids, dropped)
				if err != nil {
					return err
				}
				return a.print(attested, func(w io.Writer) {
					fmt.Fprintf(w, "record\t%s\nattested\t%s by %s\n", attested.Record, moment(attested.At), attested.By)
				})
			})
		},
	}
	c.Flags().StringArrayVar(&cids, "cid", nil, "ciphertext that the custodian says belongs to the record")
	c.Flags().BoolVar(&dropped, "dropped", false, "your node has dropped the record's ciphertexts already")
	return c
}
