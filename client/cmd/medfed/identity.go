package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/node"
)

// identity is what "identity show" prints: the enrolled certificate and the age
// recipient that belongs to it.
type identity struct {
	Folder    string      `json:"folder"`
	Name      string      `json:"name"` // the certificate's common name
	Role      ledger.Role `json:"role"` // "" when the certificate has none
	Issuer    string      `json:"issuer"`
	NotAfter  time.Time   `json:"not_after"`
	Recipient string      `json:"recipient"` // age X25519
}

func newIdentity(a *app) *cobra.Command {
	return group("identity", "Enrol and revoke identities of the local network, and show one", newIdentityEnrol(a), newIdentityRevoke(a), newIdentityShow(a))
}

func newIdentityEnrol(a *app) *cobra.Command {
	l := &localNetwork{}
	var role string
	c := &cobra.Command{
		Use:     "enrol ORGANISATION NAME --role ROLE",
		Aliases: []string{"enroll"},
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
			return a.printIdentity(folder)
		},
	}
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

func newIdentityShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the identity that --identity names; makes its age key on first use",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.needIdentity(); err != nil {
				return err
			}
			return a.printIdentity(a.identity)
		},
	}
}

func (a *app) printIdentity(folder string) error {
	who, err := readIdentity(folder)
	if err != nil {
		return err
	}
	key, err := node.AgeIdentity(folder)
	if err != nil {
		return err
	}
	who.Recipient = key.Recipient()
	return a.print(who, func(w io.Writer) {
		fmt.Fprintf(w, "name\t%s\nrole\t%s\nissuer\t%s\nvalid until\t%s\nrecipient\t%s\nfolder\t%s\n", who.Name,
			orDash(string(who.Role)), who.Issuer, who.NotAfter.UTC().Format(time.DateTime), who.Recipient, who.Folder)
	})
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
