package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

func (h *hospital) Pin(_ context.Context, cid string) error    { h.pins[cid] = true; return nil }
func (h *hospital) Remove(_ context.Context, cid string) error { delete(h.pins, cid); return nil }
func (h *hospital) Collect(context.Context) error              { return nil }

// peer is the hospital's ledger as a record's client asks it.
type peer struct {
	*hospital
	officer, patient *envelope.Identity
}

func (p peer) Await(context.Context, string, string) error { return nil }

func (p peer) Submit(ctx context.Context, name string, request, result any) error {
	return p.SubmitPrivate(ctx, "Hospital1MSP", name, request, nil, result)
}

func (p peer) Evaluate(ctx context.Context, name string, request, result any) error {
	return p.SubmitPrivate(ctx, "Hospital1MSP", name, request, nil, result)
}

func (p peer) EvaluateAt(ctx context.Context, organisation, name string, request, result any) error {
	return p.SubmitPrivate(ctx, organisation, name, request, nil, result)
}

func (p peer) SubmitPrivate(ctx context.Context, organisation, name string, request any, private map[string]any, result any) error {
	answer, err := p.answer(ctx, request, private)
	if err != nil {
		return err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}

func (p peer) answer(ctx context.Context, request any, private map[string]any) (any, error) {
	switch r := request.(type) {
	case records.HospitalRequest:
		wrap, err := envelope.Wrap(p.key, p.officer.Recipient())
		return []records.HospitalKey{{Number: 1, Recipient: p.key.Recipient(), Wrap: wrap}}, err
	case records.RecipientRequest:
		return records.Recipient{Identity: r.Identity, Role: r.Role, Number: 1, Recipient: p.patient.Recipient()}, nil
	case records.VersionRequest:
		v := private["version"].(records.SealedVersion)
		if public, found := p.public[v.Record]; found && public.Digest != form.Digest(v) {
			return nil, codes.Errorf("MF-VERSION-EXISTS", "there is another; add a version")
		}
		return p.Stage(ctx, "Hospital1MSP", v)
	case records.RegisterRequest:
		if p.refuse != nil {
			return nil, p.refuse
		}
		first, found := p.public[r.Record]
		if found && fmt.Sprint(first) != fmt.Sprint(r) {
			return nil, codes.Errorf("MF-RECORD-EXISTS", "there is another; draw a new one")
		}
		p.public[r.Record] = r
		return records.Record{Record: r.Record}, nil
	case records.RecordRequest:
		if _, found := p.public[r.Record]; !found {
			return nil, codes.Errorf("MF-RECORD-UNKNOWN", "there is none; look")
		}
		status := records.Active
		if p.erased[r.Record] {
			status = records.Erased
		}
		return records.Record{Record: r.Record, Status: status}, nil
	}
	return nil, codes.Errorf("MF-X", "no answer to %T; write one", request)
}

// assigning is a ward with one ingested image, and an officer's client.
func assigning(t *testing.T) (*ward, *Journal, *record.Client, peer) {
	w := newWard(t)
	w.write("NORMAL/1.png", picture(1))
	w.write("NORMAL/2.png", picture(2))
	if err := w.once(); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(w.state)
	if err != nil {
		t.Fatal(err)
	}
	p := peer{hospital: w.hospital}
	for _, key := range []**envelope.Identity{&p.officer, &p.patient} {
		if *key, err = envelope.NewIdentity(); err != nil {
			t.Fatal(err)
		}
	}
	return w, j, &record.Client{
		MSP: "Hospital1MSP", Role: consortium.RoleCustodian, Ledger: gateway.ContractsOf(p), Key: p.officer, Keys: p.keys,
		Own: w.hospital, Others: []record.Holder{{MSP: "ResearchCentreMSP", Store: w.hospital}},
	}, p
}

func patientOf(n int) Patient {
	return Patient{Pseudonym: fmt.Sprintf("p-%032d", n), Identifier: fmt.Sprint("MRN-CANARY-", n), Kind: records.KindImage}
}

// A kill between any two steps of an assignment is healed by the next: one record,
// one content, whatever happened before.
func TestAnEntryIsAssignedOnce(t *testing.T) {
	for _, kill := range []string{"assign", "register", "done", ""} {
		t.Run("killed before "+kill, func(t *testing.T) {
			w, j, c, p := assigning(t)
			e := w.entries()[0]
			j.step = func(name string) error {
				if name == kill {
					return errKilled
				}
				return nil
			}
			if _, err := j.Assign(t.Context(), c, e.Record, patientOf(1)); !errors.Is(err, errKilled) && kill != "" {
				t.Fatalf("not killed: %v", err)
			}
			again, err := OpenJournal(w.state)
			if err != nil {
				t.Fatal(err)
			}
			var added [2]record.Added
			for n := range added {
				if added[n], err = again.Assign(t.Context(), c, e.Record, patientOf(1)); err != nil {
					t.Fatal(err)
				}
			}
			if fmt.Sprint(added[0]) != fmt.Sprint(added[1]) || added[0].Record != e.Record || added[0].Version != 1 || len(added[0].Holders) != 2 {
				t.Errorf("%+v", added)
			}
			held := w.staged[e.Record]
			if held.PatientIdentifier != "MRN-CANARY-1" || len(w.public) != 1 || w.public[e.Record].Digest != form.Digest(w.sealed[e.Record]) || w.public[e.Record].Content != held.ContentDigest() || !w.pins[e.CID] {
				t.Errorf("held %+v, public %+v", held, w.public)
			}
			if size := int64(len(w.objects[e.CID])); w.public[e.Record].Size != size {
				t.Errorf("registered with %d bytes, the ciphertext has %d", w.public[e.Record].Size, size)
			}
			hospital, err := envelope.Unwrap(held.CustodianWrap, w.hospital.key)
			if err != nil {
				t.Fatal(err)
			}
			patient, err := envelope.Unwrap(held.PatientWrap, p.patient)
			if err != nil || patient.Recipient() != hospital.Recipient() {
				t.Errorf("the patient's wrap: %v", err)
			}
			left, err := os.ReadFile(filepath.Join(w.state, assignedFolder, e.Record+entrySuffix))
			if err != nil || strings.Contains(string(left), "CANARY") {
				t.Errorf("the journal keeps the patient's identifier: %s, %v", left, err)
			}
		})
	}
}

func TestAnEntryBelongsToOnePatient(t *testing.T) {
	w, j, c, p := assigning(t)
	e := w.entries()[0].Record
	p.refuse = &gateway.Refusal{Answer: codes.Errorf("MF-RECORD-DENIED", "no; ask")}
	c.Ledger = gateway.ContractsOf(p)
	if _, err := j.Assign(t.Context(), c, e, patientOf(1)); err == nil {
		t.Fatal("no refusal")
	}
	// The ledger does not know the record: the officer may correct the patient.
	p.refuse = nil
	c.Ledger = gateway.ContractsOf(p)
	if _, err := j.Assign(t.Context(), c, e, patientOf(2)); err != nil {
		t.Fatal(err)
	}
	for entry, want := range map[string]codes.Code{
		e: "MF-INGEST-ASSIGNED", record.NewRecordID(): "MF-INGEST-ENTRY", "letter.pdf": "MF-IDENTIFIER-OPAQUE",
	} {
		if _, err := j.Assign(t.Context(), c, entry, patientOf(1)); err == nil || codes.Of(err) != want {
			t.Errorf("%s: %v, want %s", entry, err, want)
		}
	}
	if got := w.staged[e].PatientIdentifier; got != "MRN-CANARY-2" {
		t.Errorf("it is of %s", got)
	}
	bad := patientOf(3)
	bad.Pseudonym = "Mrs Jones"
	if _, err := j.Assign(t.Context(), c, w.entries()[1].Record, bad); err == nil || codes.Of(err) != "MF-PATIENT-PSEUDONYM" {
		t.Errorf("%v", err)
	}
	assigned, err := j.Assignments()
	if err != nil || len(assigned) != 1 || assigned[e].Patient != patientOf(2).Pseudonym {
		t.Errorf("%+v, %v", assigned, err)
	}
}

// Of an erased record the journal keeps nothing that opens it, and its file is
// neither ingested again nor given to a training set.
func TestWhatIsErasedIsForgotten(t *testing.T) {
	w, j, c, _ := assigning(t)
	e := w.entries()[0]
	if _, err := j.Assign(t.Context(), c, e.Record, patientOf(1)); err != nil {
		t.Fatal(err)
	}
	if n, err := j.ForgetErased(t.Context(), c); n != 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	w.erased[e.Record] = true
	for _, want := range []int{1, 0} {
		if n, err := j.ForgetErased(t.Context(), c); n != want || err != nil {
			t.Fatalf("%d forgotten, %v", n, err)
		}
	}
	text, err := os.ReadFile(j.journal.entryPath(e.Digest))
	if err != nil || strings.Contains(string(text), e.CID) || strings.Contains(string(text), e.Wrap) || strings.Contains(string(text), e.Path) {
		t.Errorf("%s, %v", text, err)
	}
	if n, err := WriteImages(t.Context(), w.hospital, w.hospital.open, w.entries(), "NORMAL", t.TempDir()); n != 1 || err != nil {
		t.Errorf("%d images, %v", n, err)
	}
	if _, err := j.Assign(t.Context(), c, e.Record, patientOf(1)); err == nil || codes.Of(err) != "MF-INGEST-ENTRY" {
		t.Error(err)
	}
	objects := len(w.objects)
	if err := w.once(); err != nil || len(w.objects) != objects {
		t.Errorf("%d objects, %d before: %v", len(w.objects), objects, err)
	}
}
