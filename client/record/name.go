package record

import (
	"context"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
)

// Name registers a record whose version 1 lies on the own node already: it is
// pinned there and on the other members' nodes, and only then named on the ledger.
// The same again is a success. Needs what [Client.Add] needs.
func (c *Client) Name(ctx context.Context, kind record.Kind, patient string, version Sealed) (Added, error) {
	if err := c.needOwn(); err != nil {
		return Added{}, err
	}
	if err := c.Own.Pin(ctx, version.CID); err != nil {
		return Added{}, err
	}
	return c.keepAndName(ctx, Addition{Kind: kind, Patient: patient}, version)
}

// SealFor completes the private part of a version with its key, encrypted to the
// hospital and to a patient, "MSP/name", as the directory says, and seals it. Size is that
// of the ciphertext in bytes. Needs Keys.
func (c *Client) SealFor(ctx context.Context, private PrivateVersion, key *envelope.Identity, patient string, size int64) (Sealed, error) {
	hospital, err := c.HospitalRecipient(ctx)
	if err != nil {
		return Sealed{}, err
	}
	own, err := c.RecipientOf(ctx, patient, consortium.RolePatient)
	if err != nil {
		return Sealed{}, err
	}
	for wrap, recipient := range map[*string]string{&private.CustodianWrap: hospital, &private.PatientWrap: own} {
		if *wrap, err = envelope.Wrap(key, recipient); err != nil {
			return Sealed{}, err
		}
	}
	return c.SealVersion(private, hospital, own, size)
}
