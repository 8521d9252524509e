package gateway

import (
	"context"
	"iter"

	"github.com/medfed/medfed/chaincode/record"
)

// Directory are the transactions of the contract directory: the age recipients
// that others encrypt to, and the keys that a hospital's officers hold together.
type Directory struct{ PrivateCaller }

// Publish enters the caller's age recipient in the directory.
func (d Directory) Publish(ctx context.Context, entry record.PublishRequest) (record.Recipient, error) {
	return publish(ctx, d, entry)
}

// Retire ends an entry of the caller's organisation in the directory. Caller:
// whose it is, or an officer for another officer.
func (d Directory) Retire(ctx context.Context, entry record.RetireRequest) (record.Recipient, error) {
	return retire(ctx, d, entry)
}

// Get gives an identity's entry in the directory.
func (d Directory) Get(ctx context.Context, entry record.RecipientRequest) (record.Recipient, error) {
	return getRecipient(ctx, d, entry)
}

// ListOfficers gives the entries of a hospital's officers, retired ones too.
func (d Directory) ListOfficers(ctx context.Context, hospital string) iter.Seq2[record.Recipient, error] {
	return pages(func(bookmark string) ([]record.Recipient, string, error) {
		page, err := listOfficers(ctx, d, record.OfficersRequest{MSP: hospital, Bookmark: bookmark, PageSize: pageSize})
		return page.Recipients, page.Bookmark, err
	})
}

// PutHospitalKey puts a key that the hospital's officers hold together into its
// records collection. Caller: an officer of the hospital.
func (d Directory) PutHospitalKey(ctx context.Context, hospital string, key record.HospitalKey) (record.HospitalKeyDigest, error) {
	return putHospitalKey(ctx, d, hospital, record.HospitalKeyRequest{Number: key.Number}, key)
}

// ListHospitalKeys gives the keys that a hospital's officers hold together, oldest
// first, from the hospital's peer. Caller: an officer of the hospital.
func (d Directory) ListHospitalKeys(ctx context.Context, hospital string) ([]record.HospitalKey, error) {
	return listHospitalKeys(ctx, d, hospital, record.HospitalRequest{MSP: hospital})
}
