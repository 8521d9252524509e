package audit

import (
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

// rules are the transactions that are decided again, by the very functions that the
// contracts call. Of a transaction that puts or purges what is private they decide
// whether it may.
func rules(function string) (rule, bool) {
	found, ok := map[string]rule{
		"record:Stage":               onRecord(record.Stage),
		"record:Unstage":             onRecord(record.Unstage),
		"record:Register":            onRecord(record.Register),
		"record:AddVersion":          onRecord(record.AddVersion),
		"record:Deprecate":           onRecord(record.Deprecate),
		"record:RequestErasure":      onRecord(record.RequestErasure),
		"record:Purge":               onRecord(record.Purge),
		"record:AttestErasure":       onRecord(record.AttestErasure),
		"record:CompleteErasure":     onRecord(record.CompleteErasure),
		"directory:Publish":          onRecord(record.Publish),
		"directory:Retire":           onRecord(record.Retire),
		"directory:PutHospitalKey":   onRecord(record.PutHospitalKey),
		"consent:Request":            onConsent(consent.Request),
		"consent:Counter":            onConsent(consent.Counter),
		"consent:Renew":              onConsent(consent.Renew),
		"consent:Accept":             onConsent(consent.Accept),
		"consent:Reject":             onConsent(consent.Reject),
		"consent:Withdraw":           onConsent(consent.Withdraw),
		"consent:Revoke":             onConsent(consent.Revoke),
		"consent:MarkEnteredInError": onConsent(consent.MarkEnteredInError),
		"consent:PutTerms":           onConsent(consent.PutTerms),
		"access:RequestAccess":       onConsent(consent.RequestAccess),
		"access:PutGrant":            onConsent(consent.PutGrant),
		"access:PurgeGrants":         onConsent(consent.PurgeGrants),
	}[function]
	return found, ok
}

// rule gives the writes that follow from a transaction, none where it repeats an
// earlier one or changes what is private alone, or the refusal.
type rule func(l ledger.Records, call consortium.Call, argument string) ([]ledger.Write, error)

func onRecord[Q, A any](decide func(record.Ledger, consortium.Call, Q) (A, record.Change, error)) rule {
	return func(l ledger.Records, call consortium.Call, argument string) ([]ledger.Write, error) {
		var request Q
		if err := ledger.Decode(argument, &request); err != nil {
			return nil, err
		}
		_, change, err := decide(l, call, request)
		return ledger.RecordWrites(change), err
	}
}

func onConsent[Q, A any](decide func(consent.Ledger, consortium.Call, Q) (A, consent.Change, error)) rule {
	return func(l ledger.Records, call consortium.Call, argument string) ([]ledger.Write, error) {
		var request Q
		if err := ledger.Decode(argument, &request); err != nil {
			return nil, err
		}
		_, change, err := decide(l, call, request)
		return ledger.ConsentWrites(change), err
	}
}

// follows gives what the rules make of the transaction; nothing of one that writes
// no records and consents.
func (r *review) follows() ([]ledger.Write, error) {
	decide, known := rules(r.function)
	if !known {
		return nil, nil
	}
	writes, err := decide(ledger.Records{Reader: r}, r.call, r.argument)
	if err != nil {
		return nil, err
	}
	return writes, nil
}

// countConsents counts what the replayed state holds of records and consents.
func countConsents(s *state, summary *Summary) error {
	for chaincode := range s.public {
		if chaincode == lifecycleNamespace {
			continue
		}
		d := documents{s, chaincode}
		for object, count := range map[string]*int{"record": &summary.Records, "consent": &summary.Consents, "agreement": &summary.Agreements} {
			if err := d.under(func([]string, []byte) error { *count++; return nil }, object); err != nil {
				return err
			}
		}
		accesses, err := list[consent.Access](d, "access")
		if err != nil {
			return err
		}
		for _, access := range accesses {
			if access.Decision == consent.Permit {
				summary.Accesses.Permits++
			} else {
				summary.Accesses.Denials++
			}
		}
	}
	return nil
}
