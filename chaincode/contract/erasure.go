package contract

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

// RequestErasure ends all access to a record and begins its erasure. It names the
// members that must attest besides the holders; a repetition may add some. Caller:
// an officer of the custodian, or the patient, whom no hospital can hold up: the
// custodian's own peer need not endorse the patient's word.
func (*RecordContract) RequestErasure(ctx *ledger.Context, request record.ErasureRequest) (*record.Record, error) {
	caller, now, rec, err := enterErasure(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := record.CheckMembers(request.Members); err != nil {
		return nil, err
	}
	if rec.Status != record.Erased {
		if err := addMembers(ctx, request); err != nil {
			return nil, err
		}
	}
	if rec.Status.Accessible() {
		if err := moveRecord(&rec, record.Erasing, caller, now); err != nil {
			return nil, err
		}
		put := putRecord
		if caller.Role == ledger.RolePatient {
			put = func(ctx *ledger.Context, rec record.Record) error {
				return ledger.Put(ctx, ledger.RecordKey(rec.Record), rec)
			}
		}
		if err := put(ctx, rec); err != nil {
			return nil, err
		}
	}
	return &rec, emitRecord(ctx, rec, 0, caller)
}

// addMembers writes down who must attest, where that is news.
func addMembers(ctx *ledger.Context, request record.ErasureRequest) error {
	named, found, err := ledger.Get[record.ErasureMembers](ctx, ledger.ErasureMembersKey(request.Record))
	if err != nil {
		return err
	}
	named.Record = request.Record
	all := named.With(request.Members)
	if found && slices.Equal(all.Members, named.Members) {
		return nil
	}
	if err := record.CheckMembers(all.Members); err != nil {
		return err
	}
	return ledger.Put(ctx, ledger.ErasureMembersKey(request.Record), all)
}

// Purge removes everything private of a record that is being erased from the
// custodian's collections: wraps, identifiers, grants and private terms. It is
// endorsed by the custodian's peer. Caller: an officer of the custodian, or the
// patient.
func (*RecordContract) Purge(ctx *ledger.Context, request record.RecordRequest) (*record.Purged, error) {
	caller, _, rec, err := enterErasure(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if rec.Status.Accessible() {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s; request its erasure first", rec.Status)
	}
	remaining, err := privateOfRecord(ctx, rec)
	if err != nil {
		return nil, err
	}
	purged, err := purge(ctx, remaining)
	if err != nil {
		return nil, err
	}
	return purged, emitRecord(ctx, rec, 0, caller)
}

// AttestErasure is a member's signed word that its nodes have dropped the
// ciphertext of every version. Caller: an officer or the coordinator of a holder,
// or of a member that the request for the erasure names.
func (*RecordContract) AttestErasure(ctx *ledger.Context, request record.RecordRequest) (*record.Attestation, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RoleCoordinator)
	if err != nil {
		return nil, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	rec, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if rec.Status.Accessible() {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s; its erasure has not been asked for", rec.Status)
	}
	members, err := attestors(ctx, rec.Record)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(members, caller.MSP) {
		return nil, codes.Errorf("MF-RECORD-DENIED", "%s is not of a member that holds the record or was named; nothing of it is to be attested", caller.ID)
	}
	attestation, found, err := ledger.Get[record.Attestation](ctx, ledger.ErasureKey(rec.Record, caller.MSP))
	if err != nil {
		return nil, err
	}
	if !found {
		attestation = record.Attestation{Record: rec.Record, Member: caller.MSP, By: caller.ID, At: max(now, rec.ChangedAt)}
		if err := ledger.Put(ctx, ledger.ErasureKey(rec.Record, caller.MSP), attestation); err != nil {
			return nil, err
		}
	}
	return &attestation, emitRecord(ctx, rec, 0, caller)
}

// CompleteErasure ends the erasure, once every endorser sees by the hashes that
// nothing private is left and every member has attested. Caller: an officer of
// the custodian, or the patient.
func (*RecordContract) CompleteErasure(ctx *ledger.Context, request record.RecordRequest) (*record.Record, error) {
	caller, now, rec, err := enterErasure(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if rec.Status == record.Erased {
		return &rec, emitRecord(ctx, rec, 0, caller)
	}
	erasure, err := erasureOf(ctx, rec)
	if err != nil {
		return nil, err
	}
	if len(erasure.Remaining) > 0 {
		return nil, codes.Errorf("MF-ERASURE-REMAINS", "%d private documents of the record are left; purge it", len(erasure.Remaining))
	}
	if len(erasure.Missing) > 0 {
		return nil, codes.Errorf("MF-ERASURE-UNATTESTED", "%s has not attested that it dropped the record; wait for every member", erasure.Missing[0])
	}
	if err := moveRecord(&rec, record.Erased, caller, now); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, ledger.RecordKey(rec.Record), rec); err != nil {
		return nil, err
	}
	return &rec, emitRecord(ctx, rec, 0, caller)
}

// GetErasure gives how far the erasure of a record has come. Caller: anyone with
// a role.
func (*RecordContract) GetErasure(ctx *ledger.Context, request record.RecordRequest) (*record.Erasure, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	rec, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	return erasureOf(ctx, rec)
}

// enterErasure begins a transaction of those who decide on a record.
func enterErasure(ctx *ledger.Context, id string) (ledger.Caller, int64, record.Record, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient)
	if err != nil {
		return caller, 0, record.Record{}, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return caller, 0, record.Record{}, err
	}
	now, err := ctx.Now()
	if err != nil {
		return caller, 0, record.Record{}, err
	}
	rec, err := readRecord(ctx, id)
	if err != nil {
		return caller, 0, rec, err
	}
	return caller, now, rec, mayDecide(caller, rec)
}

// erasureOf gathers how far an erasure has come.
func erasureOf(ctx *ledger.Context, rec record.Record) (*record.Erasure, error) {
	erasure := record.Erasure{Record: rec, Remaining: []string{}}
	remaining, err := privateOfRecord(ctx, rec)
	if err != nil {
		return nil, err
	}
	for _, place := range remaining {
		erasure.Remaining = append(erasure.Remaining, place.String())
	}
	if erasure.Members, err = attestors(ctx, rec.Record); err != nil {
		return nil, err
	}
	if erasure.Attestations, err = ledger.List[record.Attestation](ctx, ledger.Erasures(rec.Record)); err != nil {
		return nil, err
	}
	erasure.Missing = record.MissingAttestations(erasure.Members, erasure.Attestations)
	return &erasure, nil
}

// attestors are the members that must attest: every holder of a version, and who
// was named besides.
func attestors(ctx *ledger.Context, rec string) ([]string, error) {
	versions, err := ledger.List[record.Version](ctx, ledger.Versions(rec))
	if err != nil {
		return nil, err
	}
	named, _, err := ledger.Get[record.ErasureMembers](ctx, ledger.ErasureMembersKey(rec))
	return named.With(record.Holders(versions)).Members, err
}

// place is a private document that exists.
type place struct {
	collection string
	key        ledger.Key
}

// String shows a place without saying anything private.
func (p place) String() string { return p.collection + ":" + p.key.String() }

// privateOfRecord finds, by their hashes, all private documents of a record that
// are left: of its versions, and of the consents on it.
func privateOfRecord(ctx *ledger.Context, rec record.Record) ([]place, error) {
	records := collections.Records(rec.Custodian)
	candidates := []place{{records, ledger.CustodyKey(rec.Record)}}
	for version := 1; version <= rec.Versions+1; version++ { // one more: staged and never registered
		candidates = append(candidates, place{records, ledger.PrivateVersionKey(rec.Record, version)})
	}
	left, err := existing(ctx, candidates)
	if err != nil {
		return nil, err
	}
	references, err := ledger.List[ledger.Reference](ctx, ledger.ConsentsOfRecord(rec.Record))
	if err != nil {
		return nil, err
	}
	for _, reference := range references {
		more, err := privateOfConsent(ctx, rec, reference.ID)
		if err != nil {
			return nil, err
		}
		left = append(left, more...)
	}
	return left, nil
}

// privateOfConsent finds, by their hashes, all private terms and grants of a
// consent that are left.
func privateOfConsent(ctx *ledger.Context, rec record.Record, id string) ([]place, error) {
	negotiation, _, err := ledger.Get[consent.Negotiation](ctx, ledger.NegotiationKey(id))
	if err != nil {
		return nil, err
	}
	grants := collections.Grants(rec.Custodian)
	var candidates []place
	for offer := 1; offer <= negotiation.Offers; offer++ {
		candidates = append(candidates, place{grants, ledger.TermsKey(id, offer)})
	}
	agreements := 0
	if negotiation.Agreement != nil {
		agreements = negotiation.Agreement.Version
	}
	for agreement := 1; agreement <= agreements; agreement++ {
		for version := 1; version <= rec.Versions; version++ {
			for _, writer := range consent.Writers() {
				candidates = append(candidates, place{grants, ledger.GrantKey(id, agreement, version, string(writer))})
			}
		}
	}
	return existing(ctx, candidates)
}

// existing keeps the places that hold a document.
func existing(ctx *ledger.Context, candidates []place) ([]place, error) {
	var left []place
	for _, candidate := range candidates {
		digest, err := ledger.PrivateDigest(ctx, candidate.collection, candidate.key)
		if err != nil {
			return nil, err
		}
		if digest != "" {
			left = append(left, candidate)
		}
	}
	return left, nil
}

// purge removes private documents for good.
func purge(ctx *ledger.Context, places []place) (*record.Purged, error) {
	purged := record.Purged{Keys: []string{}}
	for _, place := range places {
		if err := ledger.Purge(ctx, place.collection, place.key); err != nil {
			return nil, err
		}
		purged.Keys = append(purged.Keys, place.String())
	}
	return &purged, nil
}
