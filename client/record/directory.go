package record

import (
	"context"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
)

// Published is an identity's entry in the directory. An officer's says besides how
// many keys the hospital has, and how many of them the officer can open.
type Published struct {
	record.Recipient
	HospitalKeys int `json:"hospital_keys"`
	Opened       int `json:"opened"`
}

// Publish enters the identity's own recipient in the directory, unless the entry
// says it already. The first officer of a hospital also makes the key that its
// officers hold together; to a later one another officer gives it with
// [Client.Rewrap]. Needs Key.
func (c *Client) Publish(ctx context.Context, identity string) (Published, error) {
	entry, err := c.entryOf(ctx, identity, c.Role)
	if err != nil {
		return Published{}, err
	}
	if own := c.Key.Recipient(); entry.Recipient != own {
		entry, err = c.Ledger.Directory.Publish(ctx, record.PublishRequest{Number: entry.Number + 1, Recipient: own})
		if err != nil {
			return Published{}, err
		}
	}
	published := Published{Recipient: entry}
	if c.Role != consortium.RoleCustodian {
		return published, nil
	}
	keys, err := c.Ledger.Directory.ListHospitalKeys(ctx, c.MSP)
	if err != nil && codes.Of(err) == "MF-PRIVATE-READ" {
		return published, nil // a member that keeps no records has no collection
	}
	if err == nil && len(keys) == 0 {
		keys, err = c.firstHospitalKey(ctx)
	}
	published.HospitalKeys = len(keys)
	for _, key := range keys {
		if _, failed := envelope.Unwrap(key.Wrap, c.Key); failed == nil {
			published.Opened++
		}
	}
	return published, err
}

// entryOf reads an entry of the directory, an empty one where there is none.
func (c *Client) entryOf(ctx context.Context, identity string, role consortium.Role) (record.Recipient, error) {
	entry, err := c.Ledger.Directory.Get(ctx, record.RecipientRequest{Identity: identity, Role: string(role)})
	if err != nil && codes.Of(err) == "MF-RECIPIENT-UNKNOWN" {
		return record.Recipient{}, nil
	}
	return entry, err
}

// RecipientOf looks up what to encrypt to for an identity, "MSP/name". The error
// is MF-RECIPIENT-UNKNOWN for one that has published nothing or has retired it.
func (c *Client) RecipientOf(ctx context.Context, identity string, role consortium.Role) (string, error) {
	entry, err := c.entryOf(ctx, identity, role)
	if err == nil && entry.Recipient == "" {
		err = codes.Errorf("MF-RECIPIENT-UNKNOWN", "%s has no age recipient in the directory as %s; have it published with medfed identity publish", identity, role)
	}
	return entry.Recipient, err
}

// firstHospitalKey makes a hospital's key 1, or finds the one that another officer
// has made meanwhile.
func (c *Client) firstHospitalKey(ctx context.Context) ([]record.HospitalKey, error) {
	officers, err := c.officers(ctx)
	if err != nil {
		return nil, err
	}
	_, err = c.makeHospitalKey(ctx, 1, officers)
	if err != nil && codes.Of(err) != "MF-HOSPITAL-KEY-EXISTS" {
		return nil, err
	}
	return c.Ledger.Directory.ListHospitalKeys(ctx, c.MSP)
}

func (c *Client) makeHospitalKey(ctx context.Context, number int, officers []record.Recipient) (record.HospitalKey, error) {
	fresh, err := envelope.NewIdentity()
	if err != nil {
		return record.HospitalKey{}, err
	}
	return c.shareHospitalKey(ctx, number, fresh, officers)
}

// shareHospitalKey puts a key, wrapped for officers, into the hospital's
// collection.
func (c *Client) shareHospitalKey(ctx context.Context, number int, key *envelope.Identity, officers []record.Recipient) (record.HospitalKey, error) {
	shared := record.HospitalKey{Number: number, Recipient: key.Recipient()}
	recipients := []string{c.Key.Recipient()}
	for _, officer := range officers {
		recipients = append(recipients, officer.Recipient)
	}
	var err error
	if shared.Wrap, err = envelope.Wrap(key, recipients...); err != nil {
		return shared, err
	}
	_, err = c.Ledger.Directory.PutHospitalKey(ctx, c.MSP, shared)
	return shared, err
}

// officers are the directory's entries of the hospital's officers that are not
// retired.
func (c *Client) officers(ctx context.Context) ([]record.Recipient, error) {
	officers, err := gateway.Collect(c.Ledger.Directory.ListOfficers(ctx, c.MSP))
	return slices.DeleteFunc(officers, func(r record.Recipient) bool { return r.Recipient == "" }), err
}

// Rewrapped says which of a hospital's keys were wrapped anew, and for whom.
type Rewrapped struct {
	Keys     []int    `json:"keys"`
	Officers []string `json:"officers"`
	Closed   []int    `json:"closed"` // keys that this officer can't open: they stay as they are
}

// Rewrap wraps the hospital's keys anew, for the officers that the directory has
// now: after a new officer has published a recipient, and after one who left is
// retired. With rotate it also makes the next key, which what is added from then on
// is wrapped for. Caller: an officer who can open the hospital's keys. Needs Key.
func (c *Client) Rewrap(ctx context.Context, rotate bool) (Rewrapped, error) {
	done := Rewrapped{Keys: []int{}, Officers: []string{}, Closed: []int{}}
	keys, err := c.Ledger.Directory.ListHospitalKeys(ctx, c.MSP)
	if err != nil {
		return done, err
	}
	officers, err := c.officers(ctx)
	if err != nil {
		return done, err
	}
	for _, officer := range officers {
		done.Officers = append(done.Officers, officer.Identity)
	}
	for _, key := range keys {
		open, err := envelope.Unwrap(key.Wrap, c.Key)
		if err != nil {
			done.Closed = append(done.Closed, key.Number)
			continue
		}
		if _, err := c.shareHospitalKey(ctx, key.Number, open, officers); err != nil {
			return done, err
		}
		done.Keys = append(done.Keys, key.Number)
	}
	if len(keys) > 0 && len(done.Keys) == 0 {
		return done, c.unshared()
	}
	if rotate || len(keys) == 0 {
		next, err := c.makeHospitalKey(ctx, len(keys)+1, officers)
		if err != nil {
			return done, err
		}
		done.Keys = append(done.Keys, next.Number)
	}
	return done, nil
}

// HospitalRecipient is what is wrapped for the hospital is encrypted to: its newest
// key. Caller: an officer.
func (c *Client) HospitalRecipient(ctx context.Context) (string, error) {
	keys, err := c.Ledger.Directory.ListHospitalKeys(ctx, c.MSP)
	if err != nil {
		return "", err
	}
	if len(keys) == 0 {
		return "", codes.Errorf("MF-HOSPITAL-KEY-MISSING", "%s has no key that its officers share; run medfed identity publish as one of them", c.MSP)
	}
	return keys[len(keys)-1].Recipient, nil
}

// HospitalKeys gives what opens a key that was wrapped for the hospital, by
// whichever of the hospital's keys fits. Caller: an officer. Needs Key. The
// function's error is MF-HOSPITAL-KEY-UNSHARED when none that fits is wrapped for
// this officer.
func (c *Client) HospitalKeys(ctx context.Context) (func(wrap string) (*envelope.Identity, error), error) {
	keys, err := c.Ledger.Directory.ListHospitalKeys(ctx, c.MSP)
	if err != nil {
		return nil, err
	}
	var opened []*envelope.Identity // newest first
	for _, key := range slices.Backward(keys) {
		if hospital, err := envelope.Unwrap(key.Wrap, c.Key); err == nil {
			opened = append(opened, hospital)
		}
	}
	return func(wrap string) (*envelope.Identity, error) {
		for _, hospital := range opened {
			open, err := envelope.Unwrap(wrap, hospital)
			if err == nil || codes.Of(err) != "MF-ENVELOPE-NOT-RECIPIENT" {
				return open, err
			}
		}
		return nil, c.unshared()
	}, nil
}

func (c *Client) unshared() error {
	return codes.Errorf("MF-HOSPITAL-KEY-UNSHARED", "no key of %s that opens it is wrapped for this officer; publish your recipient, and have another officer run medfed record rewrap", c.MSP)
}
