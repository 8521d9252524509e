package gateway

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
)

// ConsentsOfCustodian gives the consents on the records of a custodian, record by
// record: the ledger has no list of its own for them. Caller: an officer of the
// custodian, or an auditor.
func (c Contracts) ConsentsOfCustodian(ctx context.Context, msp string) iter.Seq2[consent.Consent, error] {
	return func(yield func(consent.Consent, error) bool) {
		for record, err := range c.Records.List(ctx, "custodian", msp) {
			if err != nil {
				yield(consent.Consent{}, err)
				return
			}
			for found, err := range c.Consents.List(ctx, "record", record.Record) {
				if !yield(found, err) || err != nil {
					return
				}
			}
		}
	}
}

// AccessesOfCustodian gives the accesses to the records of a custodian between two
// times, in Unix seconds, 0 for no bound; newest first. Caller: an officer of the
// custodian, or an auditor.
func (c Contracts) AccessesOfCustodian(ctx context.Context, msp string, from, until int64) ([]consent.Access, error) {
	all := []consent.Access{}
	for record, err := range c.Records.List(ctx, "custodian", msp) {
		if err != nil {
			return nil, err
		}
		of, err := Collect(c.Audit.AllAccesses(ctx, consent.AccessListRequest{
			By: string(ledger.AccessesOfRecord), Value: record.Record, From: from, Until: until,
		}))
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	slices.SortStableFunc(all, func(a, b consent.Access) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Access, b.Access))
	})
	return all, nil
}
