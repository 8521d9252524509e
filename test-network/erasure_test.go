package testnetwork

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/test-network/scenario"
)

// An erasure is complete when every member of the private IPFS, holder or not, has
// signed; no node serves a block of the ciphertexts, nothing private is left, and each
// value that stays public is shown to say nothing.
func TestErasureNeedsEveryMemberAndLeavesNothingThatSpeaks(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", strings.Repeat("one", 1<<20)).Record // of several blocks
	w.add(id, "", "two")
	consentID := w.agree(id)
	w.grant(consentID, 1)
	cids := []string{w.private(id, 1).CID, w.private(id, 2).CID}
	blocks := w.spread(cids)
	access, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), use(consentID, id, 1))
	w.committed(err)
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

	for _, served := range w.served(blocks) {
		t.Error(served)
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

// ipfsNodes are all nodes of both networks.
func (w *ward) ipfsNodes() (private, public []gateway.IPFS) {
	w.t.Helper()
	for _, org := range []string{"hospital1", "hospital2", "hospital3", "hospital4", "researchcentre", "insurer", "auditor"} {
		nodes := w.profile(org).Medfed.IPFS
		if nodes.Private.URL != "" {
			private = append(private, nodes.Private)
		}
		if !slices.ContainsFunc(public, func(at gateway.IPFS) bool { return at.URL == nodes.Public.URL }) {
			public = append(public, nodes.Public)
		}
	}
	return private, public
}

// spread has the files fetched through every node that can, the first of them through the
// public ones, too: each then has a copy. It gives the blocks.
func (w *ward) spread(cids []string) (blocks []string) {
	w.t.Helper()
	private, public := w.ipfsNodes()
	if len(private) != 5 || len(public) != 2 {
		w.t.Fatalf("%d private and %d public nodes", len(private), len(public))
	}
	for i, cid := range cids {
		nodes := private
		if i == 0 {
			nodes = append(nodes[:len(nodes):len(nodes)], public...)
		}
		for _, at := range nodes {
			if status, _, err := scenario.AskIPFS(w.t.Context(), at, "cat?arg="+cid); err != nil || status != http.StatusOK {
				w.t.Fatalf("%s of %s: %d, %v", cid, at.URL, status, err)
			}
		}
		of, err := scenario.BlocksOf(w.t.Context(), private[0], cid)
		w.must(err)
		blocks = append(blocks, of...)
	}
	if len(blocks) < 4 { // a root with three leaves, and a file in one
		w.t.Fatalf("blocks %v", blocks)
	}
	return blocks
}

// served lists which node serves which block: from its own repository, from wherever it
// can fetch it, and as a file.
func (w *ward) served(blocks []string) (all []string) {
	private, public := w.ipfsNodes()
	var asked errgroup.Group
	var mutex sync.Mutex
	for _, at := range append(private, public...) {
		for _, block := range blocks {
			for _, how := range []string{"block/stat?offline=true&arg=", "block/get?timeout=2s&arg=", "cat?timeout=2s&arg="} {
				asked.Go(func() error {
					status, _, err := scenario.AskIPFS(w.t.Context(), at, how+block)
					if mutex.Lock(); status == http.StatusOK {
						all = append(all, fmt.Sprintf("%s serves %s%s", at.URL, how, block))
					}
					mutex.Unlock()
					return err
				})
			}
		}
	}
	w.must(asked.Wait())
	return all
}
