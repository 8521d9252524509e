package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/keystore"
	"github.com/medfed/medfed/client/record"
)

const (
	hospital  = "Hospital1MSP"
	centre    = "ResearchCentreMSP"
	insurer   = "InsurerMSP/requester"
	consentID = "c-00000000000000000000000000000001"
	content   = "an X-ray, as plain as can be"
)

// world is a ledger that remembers records and answers as the chaincode does when
// all is well, and the nodes of two members and of the public network. Everything
// that happens is noted in order.
type world struct {
	t        *testing.T
	happened []string
	record   records.Record
	versions []records.Version
	private  map[int]records.SealedVersion
	grants   []consent.Grant
	known    []consent.GrantDigest // what every peer has of them
	attested []string
	members  []string         // named for an erasure
	accesses []consent.Access // on the record
	access   consent.Access
	others   []consent.Consent // on the record, beside the one that is asked for
	scope    consent.Scope
	refuse   map[string]error // by transaction

	directory map[string]records.Recipient // by role and identity
	keys      []records.HospitalKey

	documentKeys *keystore.Store
	offers       []consent.Offer // of the consent
	terms        consent.SealedTerms

	own, other, public, publicToo     *node
	officer, patient, asker, hospital *envelope.Identity
}

// node is a private or public IPFS node: files by CID and what is pinned.
type node struct {
	w      *world
	name   string
	files  map[string][]byte
	pinned map[string]bool
	names  map[string]string // of the pins
	fail   error
	stuck  error // of removing
	from   *node // where it finds what it pins
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, private: map[int]records.SealedVersion{}, refuse: map[string]error{}, scope: consent.Scope{Kind: consent.ScopeThis, Version: 1},
		directory: map[string]records.Recipient{}, documentKeys: keystore.Open(t.TempDir()),
	}
	w.own, w.other, w.public = w.node("own"), w.node("other"), w.node("public")
	w.publicToo = w.node("public too")
	w.other.from = w.own
	for _, identity := range []**envelope.Identity{&w.officer, &w.patient, &w.asker, &w.hospital} {
		var err error
		if *identity, err = envelope.NewIdentity(); err != nil {
			t.Fatal(err)
		}
	}
	w.share(w.officer.Recipient())
	w.publish("requester", insurer, w.asker.Recipient())
	return w
}

// share wraps the hospital's one key for officers.
func (w *world) share(officers ...string) {
	wrap, err := envelope.Wrap(w.hospital, officers...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys = []records.HospitalKey{{Number: 1, Recipient: w.hospital.Recipient(), Wrap: wrap}}
}

func (w *world) publish(role, identity, recipient string) records.Recipient {
	entry := records.Recipient{Identity: identity, Role: role, Number: w.directory[role+" "+identity].Number + 1, Recipient: recipient}
	w.directory[role+" "+identity] = entry
	return entry
}

func (w *world) node(name string) *node {
	return &node{w: w, name: name, files: map[string][]byte{}, pinned: map[string]bool{}, names: map[string]string{}}
}

// as is the client of one of the people.
func (w *world) as(role consortium.Role) *record.Client {
	c := &record.Client{MSP: hospital, Role: role, Ledger: gateway.ContractsOf(w), Own: w.own, Public: w.public, PublicErased: []record.Store{w.publicToo}}
	switch role {
	case consortium.RoleCustodian:
		c.Keys, c.Key, c.Others = w.documentKeys, w.officer, []record.Holder{{MSP: centre, Store: w.other}}
		c.Members = []string{hospital, "Hospital2MSP", centre}
	case consortium.RolePatient:
		c.Key = w.patient
	default:
		c.MSP, c.Key, c.Own = "InsurerMSP", w.asker, nil
	}
	return c
}

func (w *world) note(what string) { w.happened = append(w.happened, what) }

func (n *node) Add(ctx context.Context, r io.Reader) (string, error) { return n.AddNamed(ctx, "", r) }

func (n *node) Named(_ context.Context, prefix string) (map[string]string, error) {
	found := map[string]string{}
	for cid, name := range n.names {
		if strings.HasPrefix(name, prefix) && n.pinned[cid] {
			found[cid] = name
		}
	}
	return found, nil
}

func (n *node) AddNamed(_ context.Context, name string, r io.Reader) (string, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	cid, err := ipfs.ComputeCID(bytes.NewReader(content))
	if err == nil {
		n.w.note("add to " + n.name)
		n.files[cid], n.pinned[cid], n.names[cid] = content, true, name
	}
	return cid, err
}

func (n *node) Get(_ context.Context, cid string) (io.ReadCloser, error) {
	content, ok := n.files[cid]
	if !ok {
		return nil, codes.Errorf("MF-IPFS-NOT-FOUND", "nobody has it; wait")
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (n *node) Pin(ctx context.Context, cid string) error { return n.PinNamed(ctx, "", cid) }

func (n *node) PinNamed(_ context.Context, name, cid string) error {
	if n.fail != nil {
		return n.fail
	}
	n.w.note("pin on " + n.name)
	if n.pinned[cid] {
		return nil // and the pin stays as it is
	}
	if _, held := n.from.files[cid]; !held {
		return codes.Errorf("MF-IPFS-NOT-FOUND", "nobody has it; wait")
	}
	n.files[cid], n.pinned[cid], n.names[cid] = n.from.files[cid], true, name
	return nil
}

func (n *node) Remove(_ context.Context, cid string) error {
	n.w.note("remove from " + n.name)
	delete(n.pinned, cid)
	delete(n.files, cid)
	return n.stuck
}

func (n *node) Collect(context.Context) error {
	n.w.note("collect on " + n.name)
	maps.DeleteFunc(n.files, func(cid string, _ []byte) bool { return !n.pinned[cid] })
	return n.stuck
}

func (w *world) Await(context.Context, string, string) error { return nil }

func (w *world) Submit(_ context.Context, name string, request, result any) error {
	return w.answer(name, request, nil, result)
}

func (w *world) Evaluate(_ context.Context, name string, request, result any) error {
	return w.answer(name, request, nil, result)
}

func (w *world) EvaluateAt(_ context.Context, organisation, name string, request, result any) error {
	if organisation != hospital {
		w.t.Errorf("%s was asked of %s", name, organisation)
	}
	return w.answer(name, request, nil, result)
}

func (w *world) SubmitPrivate(_ context.Context, organisation, name string, request any, private map[string]any, result any) error {
	if organisation != hospital {
		w.t.Errorf("what is private went to %s", organisation)
	}
	return w.answer(name, request, private, result)
}

// answer plays the chaincode. Public arguments hold nothing private.
func (w *world) answer(name string, request any, private map[string]any, result any) error {
	w.note(name)
	public, err := json.Marshal(request)
	if err != nil {
		return err
	}
	for _, secret := range []string{"MRN-CANARY", "bafk"} {
		if bytes.Contains(public, []byte(secret)) {
			w.t.Errorf("%s shows %s in public: %s", name, secret, public)
		}
	}
	hidden, err := json.Marshal(private)
	if err != nil || bytes.Contains(hidden, []byte("CANARY")) || bytes.Contains(hidden, []byte("bafk")) {
		w.t.Errorf("%s shows the custodian's peer what is private: %s, %v", name, hidden, err)
	}
	if err := w.refuse[name]; err != nil {
		return err
	}
	answer := w.answers(name, request, private)
	if _, asked := request.(records.RecipientRequest); asked && answer == nil {
		return codes.Errorf("MF-RECIPIENT-UNKNOWN", "nothing is published; ask")
	}
	if answer == nil {
		return codes.Errorf("MF-VERSION-UNKNOWN", "the test has no answer to %s; write one", name)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}

func (w *world) answers(name string, request any, private map[string]any) any {
	switch r := request.(type) {
	case records.RecipientRequest:
		if entry, found := w.directory[r.Role+" "+r.Identity]; found {
			return entry
		}
		return nil
	case records.PublishRequest:
		return w.publish("custodian", hospital+"/officer", r.Recipient)
	case records.OfficersRequest:
		page := records.RecipientPage{Recipients: []records.Recipient{}}
		for _, key := range slices.Sorted(maps.Keys(w.directory)) {
			if strings.HasPrefix(key, "custodian "+r.MSP+"/") {
				page.Recipients = append(page.Recipients, w.directory[key])
			}
		}
		return page
	case records.HospitalRequest:
		return w.keys
	case records.HospitalKeyRequest:
		w.keys = append(w.keys[:r.Number-1:r.Number-1], append([]records.HospitalKey{private["key"].(records.HospitalKey)}, w.keys[min(r.Number, len(w.keys)):]...)...)
		return records.HospitalKeyDigest{Number: r.Number}
	case records.ErasureRequest:
		w.record.Status, w.members = records.Erasing, r.Members
		return w.record
	case records.PageRequest:
		if name == "record:List" {
			return records.RecordPage{Records: []records.Record{w.record}}
		}
		return consent.Page{Consents: append([]consent.Consent{}, w.others...)}
	case consent.AccessListRequest:
		return consent.AccessPage{Accesses: w.accesses}
	case records.VersionRequest:
		if name == "record:Stage" {
			w.private[r.Version] = private["version"].(records.SealedVersion)
			return records.Staged{Record: r.Record, Version: r.Version, Digest: form.Digest(w.private[r.Version])}
		}
		if name == "record:Unstage" {
			delete(w.private, r.Version)
			return records.Purged{Keys: []string{}}
		}
		if name == "record:GetVersion" && r.Version <= len(w.versions) {
			return w.versions[r.Version-1]
		}
		if _, held := w.private[r.Version]; !held || name == "record:GetVersion" {
			return nil
		}
		return w.private[r.Version]
	case records.RegisterRequest:
		w.record = records.Record{Record: r.Record, Kind: r.Kind, Custodian: hospital, Versions: 1, Status: records.Active, Patient: hospital + "/" + r.Patient}
		w.versions = append(w.versions, records.Version{Record: r.Record, Version: 1, Digest: r.Digest, Content: r.Content, Size: r.Size, Holders: r.Holders})
		return w.record
	case records.AddVersionRequest:
		w.record.Versions = r.Version
		w.versions = append(w.versions, records.Version{Record: r.Record, Version: r.Version, Digest: r.Digest, Content: r.Content, Size: r.Size, Holders: r.Holders})
		return w.versions[r.Version-1]
	case records.RecordRequest:
		switch name {
		case "record:Purge":
			clear(w.private)
			return records.Purged{Keys: []string{}}
		case "record:AttestErasure":
			w.attested = append(w.attested, r.Record)
			if kept, _ := os.ReadDir(filepath.Join(w.documentKeys.Folder(), r.Record)); len(kept) > 0 && w.record.Status == records.Erasing {
				w.t.Errorf("%d keys are left, and their erasure is attested", len(kept))
			}
			return records.Attestation{Record: r.Record, Member: hospital}
		case "record:GetErasure":
			return records.Erasure{Record: w.record, Members: w.members, Remaining: []string{}, Missing: []string{centre}}
		}
		return w.record
	case records.VersionsRequest:
		return records.VersionPage{Versions: w.versions}
	case consent.ConsentRequest:
		agreement := &consent.Agreement{Version: 1, Terms: consent.Terms{Scope: w.scope}}
		return consent.State{Offers: w.offers, Agreements: []consent.Agreement{*agreement}, Consent: consent.Consent{
			Parties:     consent.Parties{Consent: r.Consent, Record: w.record.Record, Custodian: hospital, Grantee: insurer},
			Negotiation: consent.Negotiation{Status: consent.StatusActive, Agreement: agreement},
		}}
	case consent.AnswerRequest:
		return w.terms
	case consent.GrantRequest:
		w.grants = append(w.grants, consent.Grant{
			Consent: r.Consent, Agreement: 1, Record: w.record.Record, Version: r.Version, Grantee: insurer,
			Sealed: private["grant"].(consent.GrantInput).Sealed, Writer: consent.WriterPatient,
		})
		w.known = append(w.known, consent.GrantDigest{Writer: consent.WriterPatient, Digest: form.Digest(w.grants[len(w.grants)-1])})
		return w.known[len(w.known)-1]
	case consent.AccessRequest:
		w.access = consent.Access{
			Access: r.Access, Consent: r.Consent, Agreement: 1, Record: r.Record, Version: r.Version, Grantee: insurer,
			Custodian: hospital, Decision: consent.Permit,
		}
		if !w.scope.Covers(r.Version) {
			w.access.Decision, w.access.Code = consent.Deny, "MF-CONSENT-OUT-OF-SCOPE"
		}
		return w.access
	case consent.ReadGrantRequest:
		if name == "access:ReadGrant" {
			return w.grants
		}
		return w.known
	}
	return nil
}

// opened is the private part of a version, as the patient sees it.
func (w *world) opened(version int) record.PrivateVersion {
	w.t.Helper()
	private, err := envelope.OpenDocument[record.PrivateVersion](w.private[version].Sealed, w.patient)
	if err != nil {
		w.t.Fatal(err)
	}
	return private
}

// granted is what the newest grant tells its grantee.
func (w *world) granted() record.PrivateGrant {
	w.t.Helper()
	private, err := envelope.OpenDocument[record.PrivateGrant](w.grants[len(w.grants)-1].Sealed, w.asker)
	if err != nil {
		w.t.Fatal(err)
	}
	return private
}

func (w *world) addition(text string) record.Addition {
	return record.Addition{
		Kind: records.KindImage, Patient: record.NewPseudonym(), PatientIdentifier: "MRN-CANARY", PatientRecipient: w.patient.Recipient(),
		ContentType: "image/png", File: strings.NewReader(text), Size: int64(len(text)),
	}
}

func (w *world) registered(t *testing.T) record.Added {
	t.Helper()
	added, err := w.as(consortium.RoleCustodian).Add(t.Context(), w.addition(content))
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func (w *world) at(what string) int { return slices.Index(w.happened, what) }

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if got := codes.Of(err); got != want {
		t.Fatalf("code %q in %q, want %s", got, err, want)
	}
}
