package record

import (
	"context"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
)

// Name registers a record whose version 1 lies on the own node already: it is
// pinned there and on the other members' nodes, and only then named on the ledger.
// Size is that of the ciphertext in bytes. The same again is a success. Needs what
// [Client.Add] needs.
func (c *Client) Name(ctx context.Context, kind record.Kind, patient string, private record.PrivateVersion, size int64) (Added, error) {
	if err := c.needOwn(); err != nil {
		return Added{}, err
	}
	if err := c.Own.Pin(ctx, private.CID); err != nil {
		return Added{}, err
	}
	return c.keepAndName(ctx, Addition{Kind: kind, Patient: patient}, private, size)
}

// Wraps encrypts a version's key to the hospital and to a patient, "MSP/name", as
// the directory says.
func (c *Client) Wraps(ctx context.Context, key *envelope.Identity, patient string) (hospital, own string, err error) {
	for wrap, recipientOf := range map[*string]func() (string, error){
		&hospital: func() (string, error) { return c.HospitalRecipient(ctx) },
		&own:      func() (string, error) { return c.RecipientOf(ctx, patient, consortium.RolePatient) },
	} {
		recipient, err := recipientOf()
		if err != nil {
			return "", "", err
		}
		if *wrap, err = envelope.Wrap(key, recipient); err != nil {
			return "", "", err
		}
	}
	return hospital, own, nil
}
