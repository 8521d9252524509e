package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
)

func TestRecordedConsentsFollowFromTheRules(t *testing.T) {
	summary, err := VerifyFile(t.Context(), recordedConsents, Options{Genesis: genesisOf(t, recordedConsents)})
	if err != nil {
		t.Fatal(err)
	}
	want := Accesses{Permits: 1, Denials: 5}
	if summary.Accesses != want || summary.Consents != 5 || summary.Agreements != 3 || summary.Records != 2 || summary.States != summary.Blocks-1 {
		t.Errorf("%+v", summary)
	}
	i := slices.IndexFunc(summary.Private, func(p Private) bool { return p.Collection == "grants-Hospital1MSP" })
	if i < 0 || summary.Private[i].Written == 0 || summary.Private[i].Purged == 0 {
		t.Errorf("private %+v", summary.Private)
	}
}

// edit changes the documents of an object, "" for all that begin with it, which a
// transaction writes.
func edit[T any](t rapid.TB, r *rwset.TxReadWriteSet, object string, change func(*T)) {
	rewrite(t, r, "\x00"+object, func(value []byte) []byte {
		var document T
		if err := json.Unmarshal(value, &document); err != nil {
			t.Fatal(err)
		}
		change(&document)
		again, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		return again
	})
}

// drop leaves out what a transaction writes under keys with a prefix.
func drop(t rapid.TB, r *rwset.TxReadWriteSet, prefix string) {
	changeWrites(t, r, func(list []*kvrwset.KVWrite) []*kvrwset.KVWrite {
		return slices.DeleteFunc(list, func(w *kvrwset.KVWrite) bool { return strings.HasPrefix(w.Key, prefix) })
	})
}

// besides has a transaction write another document too.
func besides(t rapid.TB, r *rwset.TxReadWriteSet, key string, document any) {
	value, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	changeWrites(t, r, func(list []*kvrwset.KVWrite) []*kvrwset.KVWrite {
		return append(list, &kvrwset.KVWrite{Key: key, Value: value})
	})
}

func changeWrites(t rapid.TB, r *rwset.TxReadWriteSet, change func([]*kvrwset.KVWrite) []*kvrwset.KVWrite) {
	for _, ns := range r.NsRwset {
		set := decoded(t, ns.Rwset, &kvrwset.KVRWSet{})
		if len(set.Writes) > 0 {
			set.Writes = change(set.Writes)
			ns.Rwset = encoded(t, set)
		}
	}
}

// keyOf finds the nth key of an object that is written to the recorded ledger.
func keyOf(t rapid.TB, object string, nth int) string {
	for _, block := range blocksOf(t, recordedConsents)[1:] {
		for _, raw := range block.Data.Data {
			tx, _ := openEnvelope(raw)
			if tx.isConfig() || tx.open() != nil {
				continue
			}
			for _, set := range tx.sets {
				for _, w := range set.public.Writes {
					if bytes.HasPrefix([]byte(w.Key), []byte("\x00"+object+"\x00")) {
						if nth--; nth == 0 {
							return w.Key
						}
					}
				}
			}
		}
	}
	t.Fatalf("no %s is written", object)
	return ""
}

// TestColludingEndorsersAreFound has a majority of the peers sign what the rules
// do not make of a transaction: everything else of the ledger holds.
func TestColludingEndorsersAreFound(t *testing.T) {
	honest := newForger(t, plant{})
	honest.recording = recordedConsents
	blocks := honest.forge()
	if _, err := verify(t, blocks, Options{Genesis: hashOf(blocks[0])}); err != nil {
		t.Fatal(err) // else what is found below might be the forger's own doing
	}
	type set = *rwset.TxReadWriteSet
	permit := func(a *consent.Access) { a.Decision, a.Code, a.Agreement = consent.Permit, "", 1 }
	revoked := keyOf(t, "revocation", 1)
	for what, c := range map[string]struct {
		function string
		nth      int
		document string // that differs first
		says     string
		results  func(set)
	}{
		"a permit of a version that was not agreed on": {"access:RequestAccess", 2, "access/a-", "decision", func(r set) { edit(t, r, "access", permit) }},
		"a permit for another purpose":                 {"access:RequestAccess", 3, "access/a-", "decision", func(r set) { edit(t, r, "access", permit) }},
		"a permit for another grantee":                 {"access:RequestAccess", 4, "access/a-", "decision", func(r set) { edit(t, r, "access", permit) }},
		"a permit without a consent":                   {"access:RequestAccess", 5, "access/a-", "decision", func(r set) { edit(t, r, "access", permit) }},
		"a permit after the revocation":                {"access:RequestAccess", 6, "access/a-", "decision", func(r set) { edit(t, r, "access", permit) }},
		"a denial of what was agreed on": {"access:RequestAccess", 1, "access/a-", "decision", func(r set) {
			edit(t, r, "access", func(a *consent.Access) { a.Decision, a.Code, a.Agreement = consent.Deny, "MF-CONSENT-REVOKED", 0 })
		}},
		"an access under another name": {"access:RequestAccess", 2, "access/a-", "grantee", func(r set) {
			edit(t, r, "access", func(a *consent.Access) { a.Grantee = "ForeignLabMSP/requester" })
		}},
		"an access at another time": {"access:RequestAccess", 6, "access/a-", "at", func(r set) {
			edit(t, r, "access", func(a *consent.Access) { a.At -= 3600 })
		}},
		"an access that is not logged":                 {"access:RequestAccess", 6, "access/a-", "nothing", func(r set) { drop(t, r, "\x00access") }},
		"an access that the patient's list leaves out": {"access:RequestAccess", 6, "access-patient/", "nothing", func(r set) { drop(t, r, "\x00access-patient") }},
		"an access in a stranger's list": {"access:RequestAccess", 6, "access-patient/", "nothing", func(r set) {
			besides(t, r, "\x00access-patient\x00Hospital1MSP/p-\x001\x00a-\x00", consent.Access{})
		}},
		"wider terms than were accepted": {"consent:Accept", 1, "agreement/c-", "terms", func(r set) {
			edit(t, r, "agreement", func(a *consent.Agreement) { a.Terms.Scope = consent.Scope{Kind: consent.ScopeAllFuture} })
		}},
		"a consent version too many": {"consent:Accept", 2, "agreement/c-", "version", func(r set) {
			edit(t, r, "agreement", func(a *consent.Agreement) { a.Version = 3 })
		}},
		"an acceptance that nobody gave": {"consent:Withdraw", 2, "negotiation/c-", "status", func(r set) {
			edit(t, r, "negotiation", func(n *consent.Negotiation) {
				n.Status, n.Reason, n.Agreement = consent.StatusActive, "", &consent.Agreement{Version: 1, Decision: consent.Permit}
			})
		}},
		"an offer in another's name": {"consent:Counter", 1, "offer/c-", "by", func(r set) {
			edit(t, r, "offer", func(o *consent.Offer) { o.By = "InsurerMSP/requester" })
		}},
		"a consent with another patient": {"consent:Request", 4, "consent/c-", "patient", func(r set) {
			edit(t, r, "consent\x00", func(p *consent.Parties) { p.Patient = "Hospital1MSP/p-00000000000000000000000000000000" })
		}},
		"a revocation without effect": {"consent:Revoke", 1, "revocation/c-", "number", func(r set) {
			edit(t, r, "revocation", func(v *consent.Revocation) { v.Number = 0 })
		}},
		"a veto that is left out": {"consent:MarkEnteredInError", 1, "revocation/c-", "nothing", func(r set) { drop(t, r, "\x00revocation") }},
		"a revocation that is taken back": {"record:Deprecate", 1, "revocation/c-", "nothing", func(r set) {
			besides(t, r, revoked, consent.Revocation{})
		}},
		"a version that skips others": {"record:AddVersion", 1, "record/r-", "versions", func(r set) {
			edit(t, r, "record", func(v *record.Record) { v.Versions = 4 })
		}},
		"a version of another digest": {"record:AddVersion", 1, "version/r-", "digest", func(r set) {
			edit(t, r, "version", func(v *record.Version) { v.Digest = strings.Repeat("0", 64) })
		}},
		"a record of another patient": {"record:Register", 2, "record/r-", "patient", func(r set) {
			edit(t, r, "record\x00", func(v *record.Record) { v.Patient = "Hospital1MSP/p-00000000000000000000000000000000" })
		}},
		"an erasure that nobody asked for": {"record:Deprecate", 1, "record/r-", "status", func(r set) {
			edit(t, r, "record\x00", func(v *record.Record) { v.Status = record.Erased })
		}},
		"an attestation in another's name": {"record:AttestErasure", 2, "erasure/r-", "by", func(r set) {
			edit(t, r, "erasure\x00", func(a *record.Attestation) { a.By = "Hospital2MSP/officer" })
		}},
		"an erased record that comes back": {"record:CompleteErasure", 1, "record/r-", "status", func(r set) {
			edit(t, r, "record\x00", func(v *record.Record) { v.Status = record.Active })
		}},
		"another's key in the directory": {"directory:Publish", 3, "recipient/", "identity", func(r set) {
			edit(t, r, "recipient", func(v *record.Recipient) { v.Identity = "InsurerMSP/other" })
		}},
		"a deleted access": {"record:Deprecate", 1, "access/a-", "deleted", func(r set) {
			key := keyOf(t, "access", 1)
			changeWrites(t, r, func(list []*kvrwset.KVWrite) []*kvrwset.KVWrite {
				return append(list, &kvrwset.KVWrite{Key: key, IsDelete: true})
			})
		}},
	} {
		t.Run(what, func(t *testing.T) {
			at := calls(t, blocksOf(t, recordedConsents), c.function, c.nth)
			f := newForger(t, plant{results: func(p place, r *rwset.TxReadWriteSet) {
				if p.block == at.block && p.transaction == at.transaction {
					c.results(r)
				}
			}})
			f.recording = recordedConsents
			blocks := f.forge()
			summary, err := verify(t, blocks, Options{Genesis: hashOf(blocks[0])})
			refused(t, err, "MF-AUDIT-RULES", at.String())
			if summary == nil {
				return
			}
			if d := summary.Differences[0]; !strings.HasPrefix(d.Document, c.document) || !strings.Contains(d.What+" "+d.Ledger+" "+d.Replayed, c.says) {
				t.Errorf("%+v, want it at %s with %q", d, c.document, c.says)
			}
		})
	}
}

// TestRepeatedAnswersAreHeldToWhatWasSigned has the grantee accept again what it
// accepted before, in the place of its first use: a success that writes nothing
// where the digest is that of the offer, and refused where it is another's.
func TestRepeatedAnswersAreHeldToWhatWasSigned(t *testing.T) {
	blocks := blocksOf(t, recordedConsents)
	accepted, at := calls(t, blocks, "consent:Accept", 1), calls(t, blocks, "access:RequestAccess", 1)
	tx, rejected := openEnvelope(blocks[accepted.block].Data.Data[accepted.transaction])
	if rejected != nil || tx.open() != nil {
		t.Fatal("the acceptance can't be read")
	}
	var signed consent.AcceptRequest
	if err := json.Unmarshal(tx.arguments[1], &signed); err != nil {
		t.Fatal(err)
	}
	other := signed
	other.Digest = strings.Repeat("0", 64)
	for what, c := range map[string]struct {
		request consent.AcceptRequest
		refused string
	}{
		"the same digest":   {signed, ""},
		"another digest":    {other, "refused, MF-OFFER-NONE"},
		"another's consent": {consent.AcceptRequest{Consent: "c-00000000000000000000000000000000", Offer: 2, Digest: signed.Digest}, "refused, MF-CONSENT-UNKNOWN"},
	} {
		t.Run(what, func(t *testing.T) {
			argument, err := json.Marshal(c.request)
			if err != nil {
				t.Fatal(err)
			}
			here := func(p place) bool { return p.block == at.block && p.transaction == at.transaction }
			f := newForger(t, plant{
				arguments: func(p place, arguments [][]byte) {
					if here(p) {
						arguments[0], arguments[1] = []byte("consent:Accept"), argument
					}
				},
				results: func(p place, r *rwset.TxReadWriteSet) {
					if here(p) {
						r.NsRwset = nil // it reads and writes nothing
					}
				},
			})
			f.recording = recordedConsents
			blocks := f.forge()
			summary, err := verify(t, blocks, Options{Genesis: hashOf(blocks[0])})
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, "MF-AUDIT-RULES", at.String())
			if summary == nil || len(summary.Differences) == 0 || summary.Differences[0].Document != "consent:Accept" || summary.Differences[0].Replayed != c.refused {
				t.Errorf("%+v, want %s", summary, c.refused)
			}
		})
	}
}
