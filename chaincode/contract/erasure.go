package contract

import (
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

// RequestErasure ends all access to a record and begins its erasure. It names the
// members that must attest besides the holders; a repetition may add some. Caller:
// an officer of the custodian, or the patient, whom no hospital can hold up: the
// custodian's own peer need not endorse the patient's word.
func (*RecordContract) RequestErasure(ctx *ledger.Context, request record.ErasureRequest) (*record.Record, error) {
	return onRecord(ctx, request, record.RequestErasure)
}

// Purge removes everything private of a record that is being erased from the
// custodian's collections: wraps, identifiers, grants and private terms. It is
// endorsed by the custodian's peer. Caller: an officer of the custodian, or the
// patient.
func (*RecordContract) Purge(ctx *ledger.Context, request record.RecordRequest) (*record.Purged, error) {
	l, call, err := enter(ctx)
	if err != nil {
		return nil, err
	}
	rec, change, err := record.Purge(l, call, request)
	if err != nil {
		return nil, err
	}
	left, err := l.PrivateOfRecord(rec)
	if err != nil {
		return nil, err
	}
	return purge(ctx, left, change.Event)
}

// AttestErasure is a member's signed word that its nodes have dropped the
// ciphertext of every version. Caller: an officer or the coordinator of a holder,
// or of a member that the request for the erasure names.
func (*RecordContract) AttestErasure(ctx *ledger.Context, request record.RecordRequest) (*record.Attestation, error) {
	return onRecord(ctx, request, record.AttestErasure)
}

// CompleteErasure ends the erasure, once every endorser sees by the hashes that
// nothing private is left and every member has attested. Caller: an officer of
// the custodian, or the patient.
func (*RecordContract) CompleteErasure(ctx *ledger.Context, request record.RecordRequest) (*record.Record, error) {
	return onRecord(ctx, request, record.CompleteErasure)
}

// GetErasure gives how far the erasure of a record has come. Caller: anyone with
// a role.
func (*RecordContract) GetErasure(ctx *ledger.Context, request record.RecordRequest) (*record.Erasure, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	l := ledger.Records{Reader: ctx}
	rec, err := record.Find(l, request.Record)
	if err != nil {
		return nil, err
	}
	erasure, err := record.ErasureOf(l, rec)
	return &erasure, err
}
