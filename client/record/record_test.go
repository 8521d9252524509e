package record_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

func TestIdentifiersAreWhatTheLedgerTakes(t *testing.T) {
	for _, err := range []error{
		records.CheckRecordID(record.NewRecordID()), consent.CheckConsentID(record.NewConsentID()),
		consent.CheckAccessID(record.NewAccessID()), records.CheckPseudonym(record.NewPseudonym()),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if one, other := record.NewSalt(), record.NewSalt(); one == other || len(one) != 64 {
		t.Error("salts are not 32 random bytes")
	}
}

func TestTwoNodesPinBeforeTheLedgerHears(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	if !slices.Equal(added.Holders, []string{hospital, centre}) {
		t.Errorf("holders %v", added.Holders)
	}
	stored, pinned, staged, named := w.at("add to own"), w.at("pin on other"), w.at("record:Stage"), w.at("record:Register")
	if stored < 0 || pinned < stored || staged < pinned || named < staged {
		t.Errorf("order %v", w.happened)
	}
	p := w.opened(1)
	if ok := w.own.pinned[p.CID] && w.other.pinned[p.CID]; !ok || len(w.public.files) != 0 {
		t.Errorf("pinned on both %v, public %d", ok, len(w.public.files))
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	if sealed := w.own.files[p.CID]; bytes.Contains(sealed, []byte("X-ray")) || int64(len(sealed)) != added.Size {
		t.Errorf("%d bytes stored, %d named: %.40q", len(sealed), added.Size, sealed)
	}
}

func TestEveryVersionHasAKeyOfItsOwn(t *testing.T) {
	w := newWorld(t)
	first := w.registered(t)
	again := w.addition(content)
	again.Record, again.PatientIdentifier = first.Record, ""
	second, err := w.as(consortium.RoleCustodian).Add(t.Context(), again)
	if err != nil || second.Version != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	if w.opened(2).PatientIdentifier != "MRN-CANARY" {
		t.Error("the identifier of the version before was not kept")
	}
	var keys []string
	for version := 1; version <= 2; version++ {
		for wrap, owner := range map[string]*envelope.Identity{w.opened(version).CustodianWrap: w.hospital, w.opened(version).PatientWrap: w.patient} {
			key, err := envelope.Unwrap(wrap, owner)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key.Recipient())
		}
	}
	if keys[0] != keys[1] || keys[2] != keys[3] || keys[0] == keys[2] {
		t.Errorf("keys %v", keys)
	}
}

func TestAddRefusesBeforeItStores(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world, *record.Client, *record.Addition)
		code   codes.Code
	}{
		"one holder":        {func(_ *world, c *record.Client, _ *record.Addition) { c.Others = nil }, "MF-RECORD-HOLDERS"},
		"the same twice":    {func(w *world, c *record.Client, _ *record.Addition) { c.Others = []record.Holder{{hospital, w.other}} }, "MF-RECORD-HOLDERS"},
		"no node":           {func(_ *world, c *record.Client, _ *record.Addition) { c.Own = nil }, "MF-PROFILE-IPFS"},
		"patient's key":     {func(_ *world, _ *record.Client, a *record.Addition) { a.PatientRecipient = "age1nobody" }, "MF-ENVELOPE-RECIPIENT"},
		"patient's name":    {func(_ *world, _ *record.Client, a *record.Addition) { a.Patient = "Mrs Jones" }, "MF-PATIENT-PSEUDONYM"},
		"no patient's key":  {func(_ *world, _ *record.Client, a *record.Addition) { a.PatientRecipient = "" }, "MF-RECIPIENT-UNKNOWN"},
		"no hospital's key": {func(w *world, _ *record.Client, _ *record.Addition) { w.keys = nil }, "MF-HOSPITAL-KEY-MISSING"},
		"kind":              {func(_ *world, _ *record.Client, a *record.Addition) { a.Kind = "diary" }, "MF-RECORD-KIND"},
		"deprecated record": {func(w *world, _ *record.Client, a *record.Addition) {
			a.Record = record.NewRecordID()
			w.record.Status = records.Deprecated
		}, "MF-RECORD-STATUS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			client, addition := w.as(consortium.RoleCustodian), w.addition(content)
			c.change(w, client, &addition)
			_, err := client.Add(t.Context(), addition)
			wantCode(t, err, c.code)
			if len(w.own.files) != 0 {
				t.Error("something was stored")
			}
		})
	}
}

// What the ledger does not name does not stay pinned; what it may name does.
func TestAFailedAddLeavesNothingBehind(t *testing.T) {
	refusal := func(code codes.Code) error { return &gateway.Refusal{Answer: codes.Errorf(code, "no; ask")} }
	for name, c := range map[string]struct {
		spoil func(*world)
		stays bool
	}{
		"the other node fails": {func(w *world) { w.other.fail = codes.Errorf("MF-IPFS-UNREACHABLE", "gone; start it") }, false},
		"stage is refused":     {func(w *world) { w.refuse["record:Stage"] = refusal("MF-RECORD-DENIED") }, false},
		"register is refused":  {func(w *world) { w.refuse["record:Register"] = refusal("MF-RECORD-EXISTS") }, false},
		"fate unknown":         {func(w *world) { w.refuse["record:Register"] = codes.Errorf("MF-GATEWAY-UNKNOWN", "sent; repeat") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.spoil(w)
			_, err := w.as(consortium.RoleCustodian).Add(t.Context(), w.addition(content))
			if err == nil {
				t.Fatal("no error")
			}
			if named := strings.Contains(err.Error(), "of record r-"); named != c.stays {
				t.Errorf("what may be there is named: %v; %v", named, err)
			}
			if pinned := len(w.own.pinned) > 0; pinned != c.stays {
				t.Errorf("pinned %v, staged %d: %v", pinned, len(w.private), w.happened)
			}
			if staged := len(w.private) > 0; staged != c.stays {
				t.Errorf("staged %v", staged)
			}
		})
	}
}

func TestAFileThatCannotBeReadIsNotRegistered(t *testing.T) {
	w := newWorld(t)
	addition := w.addition("")
	addition.File = iotest.ErrReader(errors.New("disk on fire"))
	_, err := w.as(consortium.RoleCustodian).Add(t.Context(), addition)
	wantCode(t, err, "MF-RECORD-SOURCE")
	if w.at("record:Stage") >= 0 {
		t.Error("it was staged")
	}
}

func TestCustodianAndPatientGetTheFile(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	for _, role := range []consortium.Role{consortium.RoleCustodian, consortium.RolePatient} {
		path := filepath.Join(t.TempDir(), "x.png")
		fetched, err := w.as(role).Get(t.Context(), added.Record, 0, path)
		if err != nil || fetched.Version != 1 || fetched.ContentType != "image/png" || fetched.Size != int64(len(content)) {
			t.Fatalf("%s: %+v, %v", role, fetched, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%s: %q, %v", role, got, err)
		}
	}
}

// A file that is not what the ledger says never gets its name.
func TestNothingUncheckedIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, w *world)
		code  codes.Code
	}{
		"another private part": {func(_ *testing.T, w *world) {
			p := w.opened(1)
			p.PlainDigest = strings.Repeat("0", 64)
			sealed, err := envelope.SealDocument(p, w.patient.Recipient())
			if err != nil {
				w.t.Fatal(err)
			}
			w.private[1] = records.SealedVersion{Record: p.Record, Version: 1, Sealed: sealed}
		}, "MF-RECORD-MISMATCH"},
		"another file under the same key": {func(t *testing.T, w *world) {
			key, err := envelope.Unwrap(w.opened(1).PatientWrap, w.patient)
			if err != nil {
				t.Fatal(err)
			}
			r, err := envelope.SealReader(strings.NewReader("another X-ray, of that length"[:len(content)]), key.Recipient())
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			w.own.files[w.opened(1).CID] = sealed
		}, "MF-RECORD-MISMATCH"},
		"cut short": {func(_ *testing.T, w *world) {
			sealed := w.own.files[w.opened(1).CID]
			w.own.files[w.opened(1).CID] = sealed[:len(sealed)-1]
		}, "MF-ENVELOPE-CORRUPT"},
		"too long": {func(_ *testing.T, w *world) {
			w.own.files[w.opened(1).CID] = append(w.own.files[w.opened(1).CID], make([]byte, 1000)...)
		}, "MF-ENVELOPE-CORRUPT"},
		"gone": {func(_ *testing.T, w *world) { clear(w.own.files) }, "MF-IPFS-NOT-FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			added := w.registered(t)
			c.spoil(t, w)
			folder := t.TempDir()
			_, err := w.as(consortium.RolePatient).Get(t.Context(), added.Record, 1, filepath.Join(folder, "x.png"))
			wantCode(t, err, c.code)
			wantEmpty(t, folder)
		})
	}
}

func wantEmpty(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestAFolderThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	_, err := w.as(consortium.RolePatient).Get(t.Context(), added.Record, 1, filepath.Join(t.TempDir(), "none", "x.png"))
	wantCode(t, err, "MF-WRITE-RECORD")
}

func TestOnlyWhatIsGrantedIsPublished(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	second := w.addition("the second version")
	second.Record = added.Record
	if _, err := w.as(consortium.RoleCustodian).Add(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	w.refuse["access:PutGrant"] = &gateway.Refusal{Answer: codes.Errorf("MF-CONSENT-EXPIRED", "no; ask")}
	if _, err := w.as(consortium.RolePatient).GrantAll(t.Context(), consentID, w.asker.Recipient()); err == nil || len(w.public.files) != 0 {
		t.Fatalf("%d files published without a grant, %v", len(w.public.files), err)
	}
	delete(w.refuse, "access:PutGrant")
	granted, err := w.as(consortium.RolePatient).GrantAll(t.Context(), consentID, w.asker.Recipient())
	if err != nil || len(granted) != 1 || granted[0].Version != 1 {
		t.Fatalf("%+v, %v", granted, err)
	}
	if _, first := w.public.files[w.opened(1).CID]; !first || len(w.public.files) != 1 {
		t.Errorf("%d files are public, the granted one %v", len(w.public.files), first)
	}
}

func TestGranteeOpensWhatIsGranted(t *testing.T) {
	w := newWorld(t)
	w.registered(t)
	if _, err := w.as(consortium.RoleCustodian).Grant(t.Context(), consentID, 1, w.asker.Recipient()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.png")
	opened, err := w.as(consortium.RoleRequester).Open(t.Context(), record.Use{Consent: consentID, Version: 1, Purpose: "HPAYMT", Output: path})
	if err != nil || opened.File == nil || opened.File.Size != int64(len(content)) {
		t.Fatalf("%+v, %v", opened, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("%q, %v", got, err)
	}
}

func TestADenialIsAnErrorWithTheLedgersCode(t *testing.T) {
	w := newWorld(t)
	w.registered(t)
	folder := t.TempDir()
	opened, err := w.as(consortium.RoleRequester).Open(t.Context(), record.Use{Consent: consentID, Version: 2, Purpose: "HPAYMT", Output: filepath.Join(folder, "x")})
	wantCode(t, err, "MF-CONSENT-OUT-OF-SCOPE")
	if opened.Access.Decision != consent.Deny || w.at("access:ReadGrant") >= 0 {
		t.Errorf("%+v, %v", opened, w.happened)
	}
	wantEmpty(t, folder)
}

// The custodian's peer can't pass a grant off that the ledger does not know, nor
// one for another access.
func TestForgedGrantsAreRefused(t *testing.T) {
	for name, forge := range map[string]func(*world){
		"another version":   func(w *world) { w.grants[0].Version = 2 },
		"another grantee":   func(w *world) { w.grants[0].Grantee = "ForeignLabMSP/requester" },
		"another agreement": func(w *world) { w.grants[0].Agreement = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.registered(t)
			if _, err := w.as(consortium.RoleCustodian).Grant(t.Context(), consentID, 1, w.asker.Recipient()); err != nil {
				t.Fatal(err)
			}
			forge(w)
			w.known[0].Digest = form.Digest(w.grants[0])
			_, err := w.as(consortium.RoleRequester).Open(t.Context(), record.Use{Consent: consentID, Version: 1, Purpose: "HPAYMT", Output: filepath.Join(t.TempDir(), "x")})
			wantCode(t, err, "MF-GRANT-FORGED")
		})
	}
}

func TestAGrantThatThePeersDoNotKnowIsRefused(t *testing.T) {
	w := newWorld(t)
	w.registered(t)
	if _, err := w.as(consortium.RoleCustodian).Grant(t.Context(), consentID, 1, w.asker.Recipient()); err != nil {
		t.Fatal(err)
	}
	w.grants[0].Sealed = "AAAA"
	_, err := w.as(consortium.RoleRequester).Open(t.Context(), record.Use{Consent: consentID, Version: 1, Purpose: "HPAYMT", Output: filepath.Join(t.TempDir(), "x")})
	wantCode(t, err, "MF-GRANT-FORGED")
}

// Who puts a grant can't pass another file off as the version that is registered.
func TestAGrantOfAnotherFileIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*record.PrivateGrant)
		code   codes.Code
	}{
		"the same":       {func(*record.PrivateGrant) {}, ""},
		"another file":   {func(g *record.PrivateGrant) { g.CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku" }, "MF-GRANT-FORGED"},
		"another digest": {func(g *record.PrivateGrant) { g.PlainDigest = strings.Repeat("0", 64) }, "MF-GRANT-FORGED"},
		"another salt":   {func(g *record.PrivateGrant) { g.Salt = record.NewSalt() }, "MF-GRANT-FORGED"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.registered(t)
			if _, err := w.as(consortium.RoleCustodian).Grant(t.Context(), consentID, 1, w.asker.Recipient()); err != nil {
				t.Fatal(err)
			}
			grant := w.granted()
			c.change(&grant)
			var err error
			if w.grants[0].Sealed, err = envelope.SealDocument(grant, w.asker.Recipient()); err != nil {
				t.Fatal(err)
			}
			w.known[0].Digest = form.Digest(w.grants[0])
			_, err = w.as(consortium.RoleRequester).Open(t.Context(), record.Use{Consent: consentID, Version: 1, Purpose: "HPAYMT", Output: filepath.Join(t.TempDir(), "x")})
			if c.code != "" {
				wantCode(t, err, c.code)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// What a data base keeps of a purged document is worth nothing once its key is deleted,
// to whoever has the hospital's and its officers' keys.
func TestWhatIsKeptOfAnErasedRecordOpensToNobody(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	kept := w.private[1]
	officer := w.as(consortium.RoleCustodian)
	if err := officer.OpenKept(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	if _, err := officer.Erase(t.Context(), added.Record); err != nil {
		t.Fatal(err)
	}
	wantCode(t, officer.OpenKept(t.Context(), kept), "MF-KEYSTORE-MISSING")
	for _, key := range []*envelope.Identity{w.hospital, w.officer, w.asker} {
		_, err := envelope.OpenDocument[record.PrivateVersion](kept.Sealed, key)
		wantCode(t, err, "MF-ENVELOPE-NOT-RECIPIENT")
	}
}

// An officer of a hospital whose profile names no key store does nothing by halves.
func TestNothingIsAddedOrAttestedWithoutAKeyStore(t *testing.T) {
	w := newWorld(t)
	officer := w.as(consortium.RoleCustodian)
	officer.Keys = nil
	_, err := officer.Add(t.Context(), w.addition(content))
	wantCode(t, err, "MF-PROFILE-KEYS")
	if len(w.own.files) > 0 {
		t.Error("a file is stored that can't be named")
	}
	added := w.registered(t)
	_, err = officer.Erase(t.Context(), added.Record)
	wantCode(t, err, "MF-PROFILE-KEYS")
	if w.record.Status = records.Erasing; len(w.attested) > 0 {
		t.Error("attested")
	}
	_, err = officer.Attest(t.Context(), added.Record, nil, true)
	wantCode(t, err, "MF-PROFILE-KEYS")
}

// Erasing removes the files everywhere before the CIDs are purged, and may be repeated.
func TestErasePurgesWhatItHasRemoved(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	cid := w.opened(1).CID
	w.refuse["record:CompleteErasure"] = codes.Errorf("MF-ERASURE-UNATTESTED", "one is missing; wait")
	erased, err := w.as(consortium.RoleCustodian).Erase(t.Context(), added.Record)
	if err != nil || !slices.Equal(erased.CIDs, []string{cid}) || !slices.Equal(erased.Missing, []string{centre}) {
		t.Fatalf("%+v, %v", erased, err)
	}
	if len(w.own.pinned)+len(w.other.pinned)+len(w.private) > 0 || len(w.attested) != 1 {
		t.Errorf("left %v %v %v, attested %v", w.own.pinned, w.other.pinned, w.private, w.attested)
	}
	if !slices.Equal(w.members, []string{hospital, "Hospital2MSP", centre}) {
		t.Errorf("named %v", w.members)
	}
	for _, name := range []string{"own", "other", "public", "public too"} {
		if removed, purged := w.at("remove from "+name), w.at("record:Purge"); removed < 0 || purged < removed {
			t.Errorf("not removed from %s before the purge: %v", name, w.happened)
		}
	}
	if again, err := w.as(consortium.RoleCustodian).Erase(t.Context(), added.Record); err != nil || len(again.CIDs) > 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := w.as(consortium.RolePatient).Erase(t.Context(), added.Record); err != nil || len(w.attested) != 2 {
		t.Errorf("a patient attested for the hospital, or %v", err)
	}
}

func TestAttestForgetsFirst(t *testing.T) {
	w := newWorld(t)
	added := w.registered(t)
	_, err := w.as(consortium.RoleCustodian).Attest(t.Context(), added.Record, nil, false)
	wantCode(t, err, "MF-ERASURE-CIDS")
	if len(w.attested) > 0 || len(w.own.pinned) == 0 {
		t.Errorf("attested %v, pinned %v", w.attested, w.own.pinned)
	}
	if _, err := w.as(consortium.RoleCustodian).Attest(t.Context(), added.Record, []string{w.opened(1).CID}, false); err != nil || len(w.own.pinned) > 0 {
		t.Errorf("pinned %v, %v", w.own.pinned, err)
	}
	client := w.as(consortium.RoleCustodian)
	if w.at("collect on own") >= 0 {
		t.Error("garbage was collected where every ciphertext was named")
	}
	if _, err := client.Attest(t.Context(), added.Record, nil, true); err != nil || w.at("collect on own") < 0 {
		t.Errorf("%v, %v", err, w.happened)
	}
	client.MSP = "Hospital2MSP" // a member that holds no version, and whose nodes a copy went through
	for _, node := range []*node{w.own, w.public, w.publicToo} {
		node.files["x"], node.pinned["y"], node.files["y"] = []byte("x"), true, []byte("y")
		node.stuck = codes.Errorf("MF-IPFS-KEPT", "it stays; look")
		_, err = client.Attest(t.Context(), added.Record, nil, false)
		wantCode(t, err, "MF-IPFS-KEPT")
		if node.stuck = nil; len(w.attested) != 2 {
			t.Fatalf("%s keeps a block, and %v are attested", node.name, w.attested)
		}
	}
	if _, err := client.Attest(t.Context(), added.Record, nil, false); err != nil {
		t.Error(err)
	}
	for _, node := range []*node{w.own, w.public, w.publicToo} {
		if len(node.files) != 1 || node.files["y"] == nil {
			t.Errorf("%s has %v", node.name, node.files)
		}
	}
	client.Own = nil
	_, err = client.Attest(t.Context(), added.Record, nil, false)
	wantCode(t, err, "MF-PROFILE-IPFS")
}

func TestAGrantForAnotherKeyDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	w.registered(t)
	if _, err := w.as(consortium.RoleCustodian).Grant(t.Context(), consentID, 1, w.patient.Recipient()); err != nil {
		t.Fatal(err)
	}
	_, err := w.as(consortium.RoleRequester).Open(t.Context(), record.Use{Consent: consentID, Version: 1, Purpose: "HPAYMT", Output: filepath.Join(t.TempDir(), "x")})
	wantCode(t, err, "MF-ENVELOPE-NOT-RECIPIENT")
}

// TestUnpublish takes back what a consent covered, but not what another still lets fetch.
func TestUnpublish(t *testing.T) {
	w := newWorld(t)
	w.registered(t)
	client, cid := w.as(consortium.RoleCustodian), w.opened(1).CID
	if _, err := client.Grant(t.Context(), consentID, 1, w.asker.Recipient()); err != nil {
		t.Fatal(err)
	}
	another := consent.Consent{
		Parties:     consent.Parties{Consent: record.NewConsentID()},
		Negotiation: consent.Negotiation{Status: consent.StatusActive, Agreement: &consent.Agreement{Version: 1, Terms: consent.Terms{Scope: w.scope}}},
	}
	w.others = []consent.Consent{another}
	if err := client.Unpublish(t.Context(), consentID); err != nil || !w.public.pinned[cid] {
		t.Errorf("what another consent lets fetch is pinned: %t, %v", w.public.pinned[cid], err)
	}
	another.Status = consent.StatusInactive
	w.others = []consent.Consent{another}
	if err := client.Unpublish(t.Context(), consentID); err != nil || w.public.files[cid] != nil || w.own.files[cid] == nil {
		t.Errorf("published is %v, kept %v, %v", w.public.files, w.own.files, err)
	}
}

// A hospital's node that has lost its repository keeps again what others hold of its
// records, and nothing that is being erased.
func TestAnEmptyNodeKeepsTheRecordsFilesAgain(t *testing.T) {
	w := newWorld(t)
	w.registered(t)
	cid := w.opened(1).CID
	lose := func() {
		clear(w.own.files)
		clear(w.own.pinned)
		w.own.from = w.other
	}
	restore := func(pinned, missing int) {
		t.Helper()
		done, err := w.as(consortium.RoleCustodian).Restore(t.Context())
		if err != nil || done.Pinned != pinned || len(done.Missing) != missing || w.own.pinned[cid] != (pinned == 1) {
			t.Errorf("%+v, %v; the node has %v", done, err, w.own.pinned)
		}
	}
	lose()
	restore(1, 0)
	restore(1, 0)
	lose()
	content := w.other.files[cid]
	delete(w.other.files, cid)
	restore(0, 1)
	w.other.files[cid] = content
	w.record.Status = records.Erasing
	restore(0, 0)
}

// What a client that was killed in an addition left pinned is found by its name, when no
// addition under way can have made it, and removed wherever it was pinned; the files of
// versions that the ledger knows stay.
func TestWhatAKilledAdditionLeftIsRemoved(t *testing.T) {
	w := newWorld(t)
	second := w.addition("left behind")
	second.Record = w.registered(t).Record
	kept := w.opened(1).CID
	w.refuse["record:AddVersion"] = codes.Errorf("MF-GATEWAY-UNKNOWN", "sent; repeat")
	if _, err := w.as(consortium.RoleCustodian).Add(t.Context(), second); err == nil {
		t.Fatal("registered")
	}
	var left string
	for cid := range w.own.pinned {
		if cid != kept {
			left = cid
		}
	}
	foreign := "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	w.own.files[foreign], w.own.pinned[foreign], w.own.names[foreign] = []byte("x"), true, "record/Hospital2MSP/0/r-1/1"
	restore := func(removed int) {
		t.Helper()
		done, err := w.as(consortium.RoleCustodian).Restore(t.Context())
		if err != nil || done.Removed != removed {
			t.Errorf("%+v, %v; want %d removed", done, err, removed)
		}
	}
	restore(0) // it may be under way
	for _, n := range []*node{w.own, w.other} {
		for cid, name := range n.names {
			if parts := strings.Split(name, "/"); len(parts) == 5 {
				parts[2] = "1000000000" // as if years ago
				n.names[cid] = strings.Join(parts, "/")
			}
		}
	}
	restore(2)
	restore(0)
	if w.own.pinned[left] || w.other.pinned[left] || !w.own.pinned[kept] || !w.other.pinned[kept] || !w.own.pinned[foreign] {
		t.Errorf("own %v, other %v", w.own.pinned, w.other.pinned)
	}
}
