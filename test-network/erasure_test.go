package testnetwork

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/record"
)

// An erasure is complete when every member of the private IPFS, holder or not, has
// signed; the ciphertexts are pinned nowhere, nothing private is left, and each
// value that stays public is shown to say nothing.
func TestErasureNeedsEveryMemberAndLeavesNothingThatSpeaks(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	w.add(id, "", "two")
	consentID := w.agree(id)
	w.grant(consentID, 1)
	access, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), use(consentID, id, 1))
	w.committed(err)
	cids := []string{w.private(id, 1).CID, w.private(id, 2).CID}
	officer := as(t, w.network, custodian+"/officer")
	members := slices.Sorted(slices.Values(append([]string{custodianMSP}, otherMembers...)))

	var erased record.Erased
	printed(w, officer.must(t, "record", "erase", id, "--format", "json"), &erased)
	if !slices.Equal(erased.Members, members) || !slices.Equal(erased.CIDs, cids) || len(erased.Missing) != len(otherMembers) || len(erased.Remaining) != 0 {
		t.Fatalf("%+v", erased)
	}
	var remains record.Remains
	printed(w, officer.must(t, "record", "erase", id, "--status", "--format", "json"), &remains)
	if remains.Meaningless || remains.Record.Status != records.Erasing {
		t.Errorf("meaningless before the members have signed: %+v", remains.Erasure)
	}

	// Everyone but the last signs, and the record is not erased.
	centre := as(t, w.network, "researchcentre/coordinator")
	w.settle()
	centre.refused(t, "MF-ERASURE-CIDS", "record", "attest", id)
	centre.must(t, "record", "attest", id, "--cid", cids[0], "--cid", cids[1])
	for _, hospital := range []string{"hospital2", "hospital3", "hospital4"} {
		printed(w, officer.must(t, "record", "erase", id, "--format", "json"), &erased)
		if erased.Record.Status != records.Erasing || !slices.Contains(erased.Missing, "H"+hospital[1:]+"MSP") {
			t.Errorf("before %s has signed: %+v", hospital, erased)
		}
		w.enrol(hospital, "officer", consortium.RoleCustodian)
		as(t, w.network, hospital+"/officer").must(t, "record", "attest", id)
		w.settle()
	}
	officer.must(t, "record", "erase", id)
	w.settle()

	for _, org := range []string{custodian, "researchcentre"} {
		pins := w.pins(w.profile(org).Medfed.IPFS.Private)
		if pins[cids[0]] || pins[cids[1]] {
			t.Errorf("%s still pins the record", org)
		}
	}
	if w.pins(w.profile(custodian).Medfed.IPFS.Public)[cids[0]] {
		t.Error("the public node still pins the record")
	}
	_, err = w.officer.Ledger.Records.GetPrivate(t.Context(), custodianMSP, records.VersionRequest{Record: id, Version: 1})
	w.denied("MF-VERSION-UNKNOWN", err)

	// An auditor sees what is left, and why it says nothing.
	printed(w, as(t, w.network, "auditor/auditor").must(t, "record", "erase", id, "--status", "--format", "json"), &remains)
	if !remains.Meaningless || len(remains.Attestations) != len(members) {
		t.Errorf("%+v", remains)
	}
	keys := map[string]bool{}
	for _, d := range remains.Public {
		keys[d.Key] = true
		for _, list := range d.Lists {
			keys[list] = true
		}
	}
	for _, key := range []ledger.Key{
		ledger.RecordKey(id), ledger.VersionKey(id, 2), ledger.ErasureKey(id, "Hospital4MSP"), ledger.ConsentKey(consentID), ledger.AgreementKey(consentID, 1),
		ledger.AccessKey(access.Access), ledger.AccessListKey(ledger.AccessesOfPatient, w.patient.id, access.At, access.Access),
	} {
		if !keys[key.String()] {
			t.Errorf("%s is not in the list", key)
		}
	}
	t.Logf("%d public documents stay", len(keys))
}

// printed reads what a command printed.
func printed(w *ward, text string, into any) {
	w.t.Helper()
	if err := json.NewDecoder(strings.NewReader(text)).Decode(into); err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
}
