package contract

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/collections"
)

// RequestErasure ends all access to a record and begins its erasure. It names the
// members that must attest besides the holders; a repetition may add some. Caller:
// an officer of the custodian, or the patient, whom no hospital can hold up: the
// custodian's own peer need not endorse the patient's word.
func (*RecordContract) RequestErasure(ctx *ledger.Context, request consent.ErasureRequest) (*consent.Record, error) {
	caller, now, record, err := enterErasure(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := consent.CheckMembers(request.Members); err != nil {
		return nil, err
	}
	if record.Status != consent.RecordErased {
		if err := addMembers(ctx, request); err != nil {
			return nil, err
		}
	}
	if record.Status.Accessible() {
		if err := moveRecord(&record, consent.RecordErasing, caller, now); err != nil {
			return nil, err
		}
		put := putRecord
		if caller.Role == ledger.RolePatient {
			put = func(ctx *ledger.Context, record consent.Record) error {
				return ledger.Put(ctx, ledger.RecordKey(record.Record), record)
			}
		}
		if err := put(ctx, record); err != nil {
			return nil, err
		}
	}
	return &record, emitRecord(ctx, "record:RequestErasure", record, 0, caller)
}

// addMembers writes down who must attest, where that is news.
func addMembers(ctx *ledger.Context, request consent.ErasureRequest) error {
	named, found, err := ledger.Get[consent.ErasureMembers](ctx, ledger.ErasureMembersKey(request.Record))
	if err != nil {
		return err
	}
	named.Record = request.Record
	all := named.With(request.Members)
	if found && slices.Equal(all.Members, named.Members) {
		return nil
	}
	if err := consent.CheckMembers(all.Members); err != nil {
		return err
	}
	return ledger.Put(ctx, ledger.ErasureMembersKey(request.Record), all)
}

// Purge removes everything private of a record that is being erased from the
// custodian's collections: wraps, identifiers, grants and private terms. It is
// endorsed by the custodian's peer. Caller: an officer of the custodian, or the
// patient.
func (*RecordContract) Purge(ctx *ledger.Context, request consent.RecordRequest) (*consent.Purged, error) {
	caller, _, record, err := enterErasure(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if record.Status.Accessible() {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s; request its erasure first", record.Status)
	}
	remaining, err := privateOfRecord(ctx, record)
	if err != nil {
		return nil, err
	}
	purged, err := purge(ctx, remaining)
	if err != nil {
		return nil, err
	}
	return purged, emitRecord(ctx, "record:Purge", record, 0, caller)
}

// AttestErasure is a member's signed word that its nodes have dropped the
// ciphertext of every version. Caller: an officer or the coordinator of a holder,
// or of a member that the request for the erasure names.
func (*RecordContract) AttestErasure(ctx *ledger.Context, request consent.RecordRequest) (*consent.Attestation, error) {
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
	record, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if record.Status.Accessible() {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s; its erasure has not been asked for", record.Status)
	}
	members, err := attestors(ctx, record.Record)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(members, caller.MSP) {
		return nil, codes.Errorf("MF-RECORD-DENIED", "%s is not of a member that holds the record or was named; nothing of it is to be attested", caller.ID)
	}
	attestation, found, err := ledger.Get[consent.Attestation](ctx, ledger.ErasureKey(record.Record, caller.MSP))
	if err != nil {
		return nil, err
	}
	if !found {
		attestation = consent.Attestation{Record: record.Record, Member: caller.MSP, By: caller.ID, At: max(now, record.ChangedAt)}
		if err := ledger.Put(ctx, ledger.ErasureKey(record.Record, caller.MSP), attestation); err != nil {
			return nil, err
		}
	}
	return &attestation, emitRecord(ctx, "record:AttestErasure", record, 0, caller)
}

// CompleteErasure ends the erasure, once every endorser sees by the hashes that
// nothing private is left and every member has attested. Caller: an officer of
// the custodian, or the patient.
func (*RecordContract) CompleteErasure(ctx *ledger.Context, request consent.RecordRequest) (*consent.Record, error) {
	caller, now, record, err := enterErasure(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if record.Status == consent.RecordErased {
		return &record, emitRecord(ctx, "record:CompleteErasure", record, 0, caller)
	}
	erasure, err := erasureOf(ctx, record)
	if err != nil {
		return nil, err
	}
	if len(erasure.Remaining) > 0 {
		return nil, codes.Errorf("MF-ERASURE-REMAINS", "%d private documents of the record are left; purge it", len(erasure.Remaining))
	}
	if len(erasure.Missing) > 0 {
		return nil, codes.Errorf("MF-ERASURE-UNATTESTED", "%s has not attested that it dropped the record; wait for every member", erasure.Missing[0])
	}
	if err := moveRecord(&record, consent.RecordErased, caller, now); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, ledger.RecordKey(record.Record), record); err != nil {
		return nil, err
	}
	return &record, emitRecord(ctx, "record:CompleteErasure", record, 0, caller)
}

// GetErasure gives how far the erasure of a record has come. Caller: anyone with
// a role.
func (*RecordContract) GetErasure(ctx *ledger.Context, request consent.RecordRequest) (*consent.Erasure, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	record, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	return erasureOf(ctx, record)
}

// enterErasure begins a transaction of those who decide on a record.
func enterErasure(ctx *ledger.Context, id string) (ledger.Caller, int64, consent.Record, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient)
	if err != nil {
		return caller, 0, consent.Record{}, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return caller, 0, consent.Record{}, err
	}
	now, err := ctx.Now()
	if err != nil {
		return caller, 0, consent.Record{}, err
	}
	record, err := readRecord(ctx, id)
	if err != nil {
		return caller, 0, record, err
	}
	return caller, now, record, mayDecide(caller, record)
}

// erasureOf gathers how far an erasure has come.
func erasureOf(ctx *ledger.Context, record consent.Record) (*consent.Erasure, error) {
	erasure := consent.Erasure{Record: record, Remaining: []string{}}
	remaining, err := privateOfRecord(ctx, record)
	if err != nil {
		return nil, err
	}
	for _, place := range remaining {
		erasure.Remaining = append(erasure.Remaining, place.String())
	}
	if erasure.Members, err = attestors(ctx, record.Record); err != nil {
		return nil, err
	}
	if erasure.Attestations, err = ledger.List[consent.Attestation](ctx, ledger.Erasures(record.Record)); err != nil {
		return nil, err
	}
	erasure.Missing = consent.MissingAttestations(erasure.Members, erasure.Attestations)
	return &erasure, nil
}

// attestors are the members that must attest: every holder of a version, and who
// was named besides.
func attestors(ctx *ledger.Context, record string) ([]string, error) {
	versions, err := ledger.List[consent.Version](ctx, ledger.Versions(record))
	if err != nil {
		return nil, err
	}
	named, _, err := ledger.Get[consent.ErasureMembers](ctx, ledger.ErasureMembersKey(record))
	return named.With(consent.Holders(versions)).Members, err
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
func privateOfRecord(ctx *ledger.Context, record consent.Record) ([]place, error) {
	records := collections.Records(record.Custodian)
	candidates := []place{{records, ledger.CustodyKey(record.Record)}}
	for version := 1; version <= record.Versions+1; version++ { // one more: staged and never registered
		candidates = append(candidates, place{records, ledger.PrivateVersionKey(record.Record, version)})
	}
	left, err := existing(ctx, candidates)
	if err != nil {
		return nil, err
	}
	references, err := ledger.List[ledger.Reference](ctx, ledger.ConsentsOfRecord(record.Record))
	if err != nil {
		return nil, err
	}
	for _, reference := range references {
		more, err := privateOfConsent(ctx, record, reference.ID)
		if err != nil {
			return nil, err
		}
		left = append(left, more...)
	}
	return left, nil
}

// privateOfConsent finds, by their hashes, all private terms and grants of a
// consent that are left.
func privateOfConsent(ctx *ledger.Context, record consent.Record, id string) ([]place, error) {
	negotiation, _, err := ledger.Get[consent.Negotiation](ctx, ledger.NegotiationKey(id))
	if err != nil {
		return nil, err
	}
	grants := collections.Grants(record.Custodian)
	var candidates []place
	for offer := 1; offer <= negotiation.Offers; offer++ {
		candidates = append(candidates, place{grants, ledger.TermsKey(id, offer)})
	}
	agreements := 0
	if negotiation.Agreement != nil {
		agreements = negotiation.Agreement.Version
	}
	for agreement := 1; agreement <= agreements; agreement++ {
		for version := 1; version <= record.Versions; version++ {
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
func purge(ctx *ledger.Context, places []place) (*consent.Purged, error) {
	purged := consent.Purged{Keys: []string{}}
	for _, place := range places {
		if err := ledger.Purge(ctx, place.collection, place.key); err != nil {
			return nil, err
		}
		purged.Keys = append(purged.Keys, place.String())
	}
	return &purged, nil
}
