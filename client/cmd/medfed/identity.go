package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/client/session"
)

// identity is what "identity show" prints: the enrolled certificate and the age
// recipient that belongs to it.
type identity struct {
	Folder    string          `json:"folder"`
	Name      string          `json:"name"` // the certificate's common name
	Role      consortium.Role `json:"role"` // "" when the certificate has none
	Issuer    string          `json:"issuer"`
	NotAfter  time.Time       `json:"not_after"`
	Recipient string          `json:"recipient,omitempty"` // age X25519; "identity list" reads no keys

	// Entry is what the directory has, where a profile is named and it can be asked.
	Entry *records.Recipient `json:"entry,omitempty"`
}

func newIdentity(a *app) *cobra.Command {
	return group("identity", "Enrol and revoke identities of the local network, show one, and keep its entry in the directory",
		newIdentityEnroll(a), newIdentityRevoke(a), newIdentityList(a), newIdentityShow(a), newIdentityPublish(a), newIdentityRetire(a))
}

func newIdentityEnroll(a *app) *cobra.Command {
	l := &localNetwork{}
	var role string
	var publish bool
	c := &cobra.Command{
		Use:     "enroll ORGANISATION NAME --role ROLE",
		Aliases: []string{"enrol"},
		Short:   "Have an organisation's Fabric CA issue an identity in the local network",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if role == "" {
				return usage("no role is named; use --role with coordinator, trainer, custodian, patient, requester or auditor")
			}
			n, err := l.open()
			if err != nil {
				return err
			}
			folder, err := n.Enrol(cmd.Context(), args[0], args[1], role)
			if err != nil {
				return err
			}
			a.profile, a.identity = n.Profile(args[0]), folder
			if publish {
				if _, err := a.publish(cmd.Context()); err != nil {
					return err
				}
			}
			return a.printIdentity(cmd.Context(), folder)
		},
	}
	c.Flags().BoolVar(&publish, "publish", false, "also publish its age recipient in the directory")
	c.Flags().StringVar(&role, "role", "", "coordinator, trainer, custodian, patient, requester or auditor")
	l.bind(c)
	return c
}

func newIdentityRevoke(a *app) *cobra.Command {
	l := &localNetwork{}
	c := &cobra.Command{
		Use:   "revoke ORGANISATION NAME",
		Short: "End an identity for good: its CA revokes it, and the channel's peers learn of it",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			if err := n.Revoke(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			result := map[string]any{"organisation": args[0], "name": args[1], "state": "revoked"}
			return a.print(result, func(w io.Writer) { fmt.Fprintf(w, "%s of %s is revoked\n", args[1], args[0]) })
		},
	}
	l.bind(c)
	return c
}

// listed is one line of what "identity list" prints.
type listed struct {
	Organisation string `json:"organisation"`
	identity
}

func newIdentityList(a *app) *cobra.Command {
	l := &localNetwork{}
	c := &cobra.Command{
		Use:   "list [ORGANISATION]",
		Short: "List the identities that were enrolled in the local network",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			enrolled, err := n.Enrolled(args...)
			if err != nil {
				return err
			}
			all := []listed{}
			for _, e := range enrolled {
				who, err := readIdentity(n.IdentityDir(e.Organisation, e.Name))
				if err != nil {
					return err
				}
				all = append(all, listed{e.Organisation, who})
			}
			return a.print(all, func(w io.Writer) {
				fmt.Fprintln(w, "ORGANISATION\tNAME\tROLE\tVALID UNTIL\tFOLDER")
				for _, i := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", i.Organisation, i.Name, orDash(string(i.Role)), i.NotAfter.UTC().Format(time.DateTime), i.Folder)
				}
			})
		},
	}
	l.bind(c)
	return c
}

func newIdentityShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the identity that --identity names, and its entry in the directory; makes its age key on first use",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.needIdentity(); err != nil {
				return err
			}
			return a.printIdentity(cmd.Context(), a.identity)
		},
	}
}

func newIdentityPublish(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "publish",
		Short: "Publish the identity's age recipient in the directory, where others look it up",
		Long: `Publish the identity's age recipient in the directory on the ledger, signed by its
own certificate: records, keys and grants are then encrypted to it without asking.
The first officer of a hospital also makes the key that its officers hold together;
a later one gets it with "record rewrap" from an officer who has it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			published, err := a.publish(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(published, func(w io.Writer) {
				fmt.Fprintf(w, "identity\t%s\nrole\t%s\nentry\t%d\nrecipient\t%s\n", published.Identity, published.Role, published.Number, published.Recipient.Recipient)
				if published.HospitalKeys > 0 {
					fmt.Fprintf(w, "hospital's keys\t%d, of which you open %d\n", published.HospitalKeys, published.Opened)
				}
			})
		},
	}
}

// publish enters the recipient of the identity that the flags name.
func (a *app) publish(ctx context.Context) (record.Published, error) {
	key, err := a.ageIdentity()
	if err != nil {
		return record.Published{}, err
	}
	return ask(a, func(r gateway.Contracts, who *gateway.Identity) (record.Published, error) {
		return (&record.Client{MSP: who.MSP, Role: who.Role, Ledger: r, Key: key}).Publish(ctx, who.ID())
	})
}

func newIdentityRetire(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "retire [NAME]",
		Short: "End your own entry in the directory, or as an officer that of another officer who left",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			retired, err := ask(a, func(r gateway.Contracts, who *gateway.Identity) (records.Recipient, error) {
				name, role := who.Name, who.Role
				if len(args) > 0 {
					name, role = args[0], consortium.RoleCustodian
				}
				entry, err := r.Directory.Get(cmd.Context(), records.RecipientRequest{Identity: who.MSP + "/" + name, Role: string(role)})
				if err != nil || entry.Recipient == "" {
					return entry, err
				}
				return r.Directory.Retire(cmd.Context(), records.RetireRequest{Role: string(role), Name: name, Number: entry.Number + 1})
			})
			if err != nil {
				return err
			}
			return a.print(retired, func(w io.Writer) {
				fmt.Fprintf(w, "identity\t%s\nretired\t%s by %s\n", retired.Identity, moment(retired.ChangedAt), retired.ChangedBy)
			})
		},
	}
}

func (a *app) printIdentity(ctx context.Context, folder string) error {
	who, err := readIdentity(folder)
	if err != nil {
		return err
	}
	key, err := session.AgeKey(folder)
	if err != nil {
		return err
	}
	who.Recipient = key.Recipient()
	entry := a.entryOf(ctx, &who)
	return a.print(who, func(w io.Writer) {
		fmt.Fprintf(w, "name\t%s\nrole\t%s\nissuer\t%s\nvalid until\t%s\nrecipient\t%s\nin the directory\t%s\nfolder\t%s\n", who.Name,
			orDash(string(who.Role)), who.Issuer, who.NotAfter.UTC().Format(time.DateTime), who.Recipient, entry, who.Folder)
	})
}

// entryOf looks the identity up in the directory and says in words what is there.
// An identity can be shown where no ledger is to be asked.
func (a *app) entryOf(ctx context.Context, who *identity) string {
	if a.profile == "" {
		return "not looked up: no --profile is named"
	}
	entry, err := ask(a, func(r gateway.Contracts, own *gateway.Identity) (records.Recipient, error) {
		return r.Directory.Get(ctx, records.RecipientRequest{Identity: own.ID(), Role: string(own.Role)})
	})
	if err != nil {
		return "not found: " + string(codes.Of(err))
	}
	who.Entry = &entry
	switch entry.Recipient {
	case who.Recipient:
		return fmt.Sprintf("yes, entry %d", entry.Number)
	case "":
		return fmt.Sprintf("retired with entry %d", entry.Number)
	default:
		return fmt.Sprintf("another recipient, entry %d; run medfed identity publish", entry.Number)
	}
}

// readIdentity reads an MSP folder and checks that certificate and key belong
// together. The MSP identifier stands in the connection profile, not here.
func readIdentity(folder string) (identity, error) {
	enrolled, err := gateway.LoadIdentity("", folder)
	if err != nil {
		return identity{}, err
	}
	certificate, err := readCertificate(filepath.Join(folder, "signcerts"))
	if err != nil {
		return identity{}, err
	}
	return identity{
		Folder:   folder,
		Name:     enrolled.Name,
		Role:     enrolled.Role,
		Issuer:   certificate.Issuer.CommonName,
		NotAfter: certificate.NotAfter,
	}, nil
}

// readCertificate reads the one certificate of a folder.
func readCertificate(folder string) (*x509.Certificate, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err == nil && len(files) == 1 {
		var text []byte
		if text, err = os.ReadFile(files[0]); err == nil {
			if block, _ := pem.Decode(text); block != nil {
				return x509.ParseCertificate(block.Bytes)
			}
		}
	}
	return nil, codes.Errorf("MF-GATEWAY-IDENTITY", "%s holds no certificate; enrol the identity again", folder)
}
