package record_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/record"
)

func newKey(t *testing.T) *envelope.Identity {
	t.Helper()
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Patient and grantee are looked up; nobody passes their recipients by hand.
func TestRecipientsAreLookedUp(t *testing.T) {
	w := newWorld(t)
	addition := w.addition(content)
	addition.PatientRecipient = ""
	w.publish("patient", hospital+"/"+addition.Patient, w.patient.Recipient())
	added, err := w.as(consortium.RoleCustodian).Add(t.Context(), addition)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.Unwrap(w.opened(1).PatientWrap, w.patient); err != nil {
		t.Error(err)
	}
	if _, err := w.as(consortium.RolePatient).Get(t.Context(), added.Record, 1, filepath.Join(t.TempDir(), "x")); err != nil {
		t.Error(err)
	}
	for _, role := range []consortium.Role{consortium.RoleCustodian, consortium.RolePatient} {
		if _, err := w.as(role).Grant(t.Context(), consentID, 1, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := envelope.Unwrap(w.granted().Wrap, w.asker); err != nil {
			t.Error(err)
		}
	}
	w.publish("requester", insurer, "")
	_, err = w.as(consortium.RoleCustodian).Grant(t.Context(), consentID, 1, "")
	wantCode(t, err, "MF-RECIPIENT-UNKNOWN")
}

// What one officer has added, a later officer opens and grants once a colleague
// has shared the hospital's key; one who left opens nothing that comes after.
func TestOfficersComeAndGo(t *testing.T) {
	w := newWorld(t)
	first := w.as(consortium.RoleCustodian)
	added := w.registered(t)
	second := w.as(consortium.RoleCustodian)
	second.Key = newKey(t)
	published, err := second.Publish(t.Context(), hospital+"/officer-b")
	if err != nil || published.HospitalKeys != 1 || published.Opened != 0 {
		t.Fatalf("%+v, %v", published, err)
	}
	w.publish("custodian", hospital+"/officer-b", second.Key.Recipient())
	w.publish("custodian", hospital+"/officer", first.Key.Recipient())
	path := filepath.Join(t.TempDir(), "x")
	_, err = second.Get(t.Context(), added.Record, 1, path)
	wantCode(t, err, "MF-HOSPITAL-KEY-UNSHARED")
	_, err = second.Rewrap(t.Context(), false)
	wantCode(t, err, "MF-HOSPITAL-KEY-UNSHARED")

	done, err := first.Rewrap(t.Context(), false)
	if err != nil || !slices.Equal(done.Keys, []int{1}) || !slices.Equal(done.Officers, []string{hospital + "/officer", hospital + "/officer-b"}) {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := second.Get(t.Context(), added.Record, 1, path); err != nil {
		t.Error(err)
	}
	if _, err := second.Grant(t.Context(), consentID, 1, ""); err != nil {
		t.Error(err)
	}

	// The first leaves.
	w.publish("custodian", hospital+"/officer", "")
	if done, err := second.Rewrap(t.Context(), true); err != nil || !slices.Equal(done.Keys, []int{1, 2}) || !slices.Equal(done.Officers, []string{hospital + "/officer-b"}) {
		t.Fatalf("%+v, %v", done, err)
	}
	again := w.addition("the next version")
	again.Record = added.Record
	if _, err := second.Add(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	for version := 1; version <= 2; version++ {
		if _, err := second.Get(t.Context(), added.Record, version, path); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		_, err := first.Get(t.Context(), added.Record, version, path)
		wantCode(t, err, "MF-HOSPITAL-KEY-UNSHARED")
	}
	if _, err := envelope.Unwrap(w.opened(2).CustodianWrap, w.hospital); err == nil {
		t.Error("the key that the first officer knows opens what came after")
	}
}

func TestTheFirstOfficerMakesTheHospitalsKey(t *testing.T) {
	w := newWorld(t)
	w.keys = nil
	officer := w.as(consortium.RoleCustodian)
	for range 2 {
		published, err := officer.Publish(t.Context(), hospital+"/officer")
		if err != nil || published.HospitalKeys != 1 || published.Opened != 1 || published.Number != 1 {
			t.Fatalf("%+v, %v", published, err)
		}
	}
	if published := w.directory["custodian "+hospital+"/officer"]; published.Recipient != officer.Key.Recipient() || len(w.keys) != 1 {
		t.Errorf("%+v, keys %+v", published, w.keys)
	}
}

// What stays public of an erased record is looked at value by value.
func TestRemainsExplainsEveryValue(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	auditor := &record.Client{Role: consortium.RoleAuditor, Ledger: w.as(consortium.RoleCustodian).Ledger}
	w.accesses = []consent.Access{{
		Access: record.NewAccessID(), Consent: record.NewConsentID(), Record: added.Record, Version: 1, Purpose: "HPAYMT", Grantee: insurer,
		Patient: hospital + "/" + record.NewPseudonym(), Custodian: hospital, Decision: consent.Deny, Code: "MF-CONSENT-REVOKED", TxID: strings.Repeat("0f", 32),
	}}
	w.record.Status, w.members = records.Erasing, []string{hospital, centre}
	before, err := auditor.Remains(t.Context(), added.Record)
	if err != nil || before.Meaningless {
		t.Errorf("before the erasure is complete: %v, %v", before.Meaningless, err)
	}
	w.record.Status = records.Erased
	remains, err := auditor.Remains(t.Context(), added.Record)
	if err != nil || !remains.Meaningless {
		t.Fatalf("%+v, %v", remains, err)
	}
	for _, prefix := range []string{"record/", "version/", "erasure-members/", "access/", "records-" + hospital + ": private-version/"} {
		if !slices.ContainsFunc(remains.Public, func(d record.Remaining) bool { return strings.HasPrefix(d.Key, prefix) && len(d.Why) > 0 }) {
			t.Errorf("nothing is said of %s", prefix)
		}
	}
	for field, spoil := range map[string]func(){
		"patient":   func() { w.record.Patient = hospital + "/Alice Smith" },
		"kind":      func() { w.record.Kind = "Alice Smith, 4 May 1961" },
		"holders":   func() { w.versions[0].Holders = []string{"Mrs Jones"} },
		"digest":    func() { w.versions[0].Digest = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy" },
		"purpose":   func() { w.accesses[0].Purpose = "ALICE" },
		"custodian": func() { w.accesses[0].Custodian = "a/b" },
	} {
		kept, versions, accesses := w.record, slices.Clone(w.versions), slices.Clone(w.accesses)
		spoil()
		spoilt, err := auditor.Remains(t.Context(), added.Record)
		if err != nil || spoilt.Meaningless || !slices.ContainsFunc(spoilt.Public, func(d record.Remaining) bool { return slices.Contains(d.Unexplained, field) }) {
			t.Errorf("%s: %+v, %v", field, spoilt, err)
		}
		w.record, w.versions, w.accesses = kept, versions, accesses
	}
}
