package testnetwork

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/audit"
	"github.com/medfed/medfed/client/record"
)

// recordVariable names a folder where the ledger is kept that the test leaves:
// client/audit/testdata, to make anew what client/audit's own tests forge.
const recordVariable = "MEDFED_AUDIT_RECORD"

// Everything that can become of a record and a consent, and the auditor's bundle
// of it: all that is public follows again from the rules. The ledger is the one
// that the other tests of this package have written to as well.
func TestTheLedgerIsWhatTheRulesMakeOfIt(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	w.add(id, "", "two")
	given := w.negotiate(id)
	permitted, denied := 0, 0
	ask := func(request consent.AccessRequest, by party, code string) {
		t.Helper()
		access, err := by.Ledger.Accesses.RequestAccess(t.Context(), request)
		w.committed(err)
		if access.Code != code {
			t.Errorf("%+v, want the code %q", access, code)
		}
		if access.Decision == consent.Permit {
			permitted++
		} else {
			denied++
		}
	}
	stranger := w.party("foreignlab", "requester", consortium.RoleRequester)
	otherPurpose := use(given, id, 1)
	otherPurpose.Purpose = "HRESCH"
	ask(use(given, id, 1), w.requester, "")
	ask(use(given, id, 2), w.requester, "MF-CONSENT-OUT-OF-SCOPE")
	ask(otherPurpose, w.requester, "MF-CONSENT-OTHER-PURPOSE")
	ask(use(given, id, 1), stranger, "MF-CONSENT-OTHER-GRANTEE")
	ask(use(record.NewConsentID(), id, 1), w.requester, "MF-CONSENT-UNKNOWN")
	w.grant(given, 1)
	w.renewInVain(given)
	w.revoke(given)
	ask(use(given, id, 1), w.requester, "MF-CONSENT-REVOKED")
	w.refuse(id)
	w.deprecateAndErase()

	summary := w.audited()
	if summary.Accesses.Permits < permitted || summary.Accesses.Denials < denied || len(summary.Private) == 0 {
		t.Errorf("%+v, want at least %d permits and %d denials", summary, permitted, denied)
	}
	t.Logf("%d blocks, %d transactions, %d consents with %d versions, %+v, private %+v",
		summary.Blocks, summary.Transactions, summary.Consents, summary.Agreements, summary.Accesses, summary.Private)
}

// negotiate comes to an agreement on version 1, in return for care that only the
// sides know of.
func (w *ward) negotiate(id string) string {
	w.t.Helper()
	ctx := w.t.Context()
	asked, err := w.requester.Ledger.Consents.Request(ctx, consent.AskRequest{
		Consent: record.NewConsentID(), Record: id, Terms: terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone),
	})
	w.committed(err)
	private := consent.PrivateTerms{Consent: asked.Consent, Offer: 2, Care: "a place in the trial"}
	sealed, err := w.patient.SealTerms(ctx, id, w.requester.id, private)
	w.must(err)
	countered, err := w.patient.Ledger.Consents.Counter(ctx, consent.OfferRequest{
		Consent: asked.Consent, Offer: 2, Terms: terms(consent.Scope{Kind: consent.ScopeThis, Version: 1}, consent.CompensationCare), PrivateDigest: form.Digest(sealed),
	})
	w.committed(err)
	_, err = w.patient.Ledger.Consents.PutTerms(ctx, custodianMSP, sealed)
	w.committed(err)
	_, err = w.requester.Ledger.Consents.Accept(ctx, consent.AcceptRequest{Consent: asked.Consent, Offer: 2, Digest: countered.Digest()})
	w.committed(err)
	return asked.Consent
}

// renewInVain renews a consent three times: withdrawn, rejected, accepted.
func (w *ward) renewInVain(id string) {
	w.t.Helper()
	ctx := w.t.Context()
	renew := func(number int) consent.Offer {
		offer, err := w.requester.Ledger.Consents.Renew(ctx, consent.OfferRequest{Consent: id, Offer: number, Terms: terms(consent.Scope{Kind: consent.ScopeUpTo, Version: 2}, consent.CompensationNone)})
		w.committed(err)
		return offer
	}
	renew(3)
	_, err := w.requester.Ledger.Consents.Withdraw(ctx, consent.AnswerRequest{Consent: id, Offer: 3})
	w.committed(err)
	renew(4)
	_, err = w.patient.Ledger.Consents.Reject(ctx, consent.AnswerRequest{Consent: id, Offer: 4})
	w.committed(err)
	w.accept(renew(5))
}

// refuse has consents that come to nothing: rejected, withdrawn, entered in error.
func (w *ward) refuse(id string) {
	w.t.Helper()
	ctx := w.t.Context()
	ask := func() string {
		offer, err := w.requester.Ledger.Consents.Request(ctx, consent.AskRequest{
			Consent: record.NewConsentID(), Record: id, Terms: terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone),
		})
		w.committed(err)
		return offer.Consent
	}
	_, err := w.patient.Ledger.Consents.Reject(ctx, consent.AnswerRequest{Consent: ask(), Offer: 1})
	w.committed(err)
	_, err = w.requester.Ledger.Consents.Withdraw(ctx, consent.AnswerRequest{Consent: ask(), Offer: 1})
	w.committed(err)
	_, err = w.patient.Ledger.Consents.MarkEnteredInError(ctx, consent.ConsentRequest{Consent: ask()})
	w.committed(err)
}

// deprecateAndErase takes a record through its last states.
func (w *ward) deprecateAndErase() {
	w.t.Helper()
	ctx := w.t.Context()
	id := w.add("", "MRN-2", "gone").Record
	w.grant(w.agree(id), 1)
	_, err := w.officer.Ledger.Records.Deprecate(ctx, records.RecordRequest{Record: id})
	w.committed(err)
	_, err = w.officer.Erase(ctx, id)
	w.committed(err)
	_, coordinator := w.enrol("researchcentre", "coordinator", consortium.RoleCoordinator)
	_, err = w.connect(custodian, coordinator).Contracts().Records.AttestErasure(ctx, records.RecordRequest{Record: id})
	w.committed(err)
	completed, err := w.officer.Ledger.Records.CompleteErasure(ctx, records.RecordRequest{Record: id})
	w.committed(err)
	if completed.Status != records.Erased {
		w.t.Errorf("the record is %s", completed.Status)
	}
}

// audited is what an auditor finds in the ledger.
func (w *ward) audited() *audit.Summary {
	w.t.Helper()
	_, auditor := w.enrol("auditor", "auditor", consortium.RoleAuditor)
	file := filepath.Join(w.t.TempDir(), "ledger.audit")
	if folder := os.Getenv(recordVariable); folder != "" {
		file = filepath.Join(folder, "consents.audit")
		_ = os.Remove(file)
	}
	exported, err := audit.Export(w.t.Context(), w.connect(custodian, auditor), auditor.ID(), file, quiet{})
	w.must(err)
	if os.Getenv(recordVariable) != "" {
		w.must(os.WriteFile(file+".genesis", []byte(exported.Genesis+"\n"), 0o644))
	}
	summary, err := audit.VerifyFile(context.Background(), file, audit.Options{Genesis: exported.Genesis, Head: exported.Head})
	if summary != nil {
		for _, d := range summary.Differences {
			w.t.Errorf("%+v", d)
		}
	}
	w.must(err)
	return summary
}

type quiet struct{}

func (quiet) Step(string, int, int) {}
