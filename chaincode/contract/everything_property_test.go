package contract_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/record"
)

// TestCase08EveryTransactionByEveryRole has each role, and someone without one,
// send every transaction of the chaincode in a random order, wherever a task, a
// record and a consent happen to stand. After each, the invariants are checked;
// whatever is refused is refused with a code.
func TestCase08EveryTransactionByEveryRole(t *testing.T) {
	setFlag(t, "rapid.checks", "8")
	endorsers := ledgertest.WithPeers(hospital, "Hospital2MSP", "ResearchCentreMSP")
	for _, role := range []consortium.Role{
		consortium.RoleCoordinator, consortium.RoleTrainer, consortium.RoleCustodian, consortium.RolePatient, consortium.RoleRequester, consortium.RoleAuditor, "",
	} {
		t.Run("role="+string(role), func(t *testing.T) {
			sent, accepted := 0, map[string]bool{}
			rapid.Check(t, func(t *rapid.T) {
				c := newClinic(t, endorsers)
				e := &everything{clinic: c, T: t, held: newInvariants(c.ledger)}
				defer e.printIfFailed()
				e.setUp()
				for _, transaction := range rapid.Permutation(contract.Transactions()).Draw(t, "order") {
					sent++
					if e.send(e.caller(role), transaction) {
						accepted[transaction.Contract+":"+transaction.Name] = true
					}
					e.check()
				}
				if err := e.held.leaks(); err != nil {
					t.Fatal(err)
				}
				e.succeeded = true
			})
			t.Logf("%d sent, %d of %d transactions accepted at least once", sent, len(accepted), len(contract.Transactions()))
		})
	}
}

// everything is a ledger with a task, a record and a consent on it.
type everything struct {
	*clinic
	*rapid.T
	held       *invariants
	record, id string
	offer      consent.Offer
	permitted  string
	succeeded  bool
}

// setUp brings a task, a record and a consent somewhere.
func (e *everything) setUp() {
	versions := rapid.IntRange(1, 2).Draw(e.T, "versions")
	e.record = e.xray(versions)
	if rapid.Bool().Draw(e.T, "staged") {
		e.stage(e.record, versions+1)
	}
	e.check()
	e.id = e.draw(consent.ConsentPrefix)
	e.offer = put[consent.Offer](e.clinic, e.insurer, "consent:Request", consent.AskRequest{
		Consent: e.id, Record: e.record, Terms: e.terms(10_000), PrivateDigest: form.Digest(e.privateTerms()),
	})
	e.permitted = e.draw(consent.AccessPrefix)
	if rapid.Bool().Draw(e.T, "agreed") {
		e.doPrivate(e.patient, "consent:PutTerms", consent.AnswerRequest{Consent: e.id, Offer: 1}, "terms", e.privateTerms())
		e.do(e.patient, "consent:Accept", consent.AcceptRequest{Consent: e.id, Offer: 1, Digest: e.offer.Digest()})
		e.grant(e.id, 1)
		e.do(e.insurer, "access:RequestAccess", e.use(e.id, e.record, 1))
		e.permitted = opaque(consent.AccessPrefix, e.drawn)
	}
	if rapid.Bool().Draw(e.T, "erasing") {
		e.do(e.patient, "record:RequestErasure", record.RecordRequest{Record: e.record})
	}
	e.task(rapid.IntRange(0, 3).Draw(e.T, "task"))
	e.check()
}

// task brings a task so far: created, joined, started, in its first round.
func (e *everything) task(far int) {
	w := &world{TB: e.T, ledger: e.ledger, coordinator: e.coordinator}
	if far >= 1 {
		w.do(e.coordinator, "task:CreateTask", terms())
	}
	for _, id := range nodeIDs() {
		if far >= 2 {
			w.do(e.trainer(id), "task:JoinTask", w.join(id))
		}
	}
	if far < 3 {
		return
	}
	w.do(e.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())})
	for _, id := range nodeIDs() {
		w.do(e.trainer(id), "task:RevealSalt", w.salt(id))
	}
	w.open(1)
}

func (e *everything) trainer(id string) *ledgertest.Identity {
	msp, name, _ := strings.Cut(id, "/")
	return e.ledger.Identity(msp, name, "trainer")
}

func (e *everything) privateTerms() consent.SealedTerms {
	return consent.SealedTerms{Consent: e.id, Offer: 1, Sealed: sealed(canaryNote)}
}

// caller is someone of a role.
func (e *everything) caller(role consortium.Role) *ledgertest.Identity {
	switch role {
	case consortium.RoleCoordinator:
		return e.coordinator
	case consortium.RoleTrainer:
		return e.trainer(rapid.SampledFrom(nodeIDs()).Draw(e.T, "node"))
	case consortium.RoleCustodian:
		return rapid.SampledFrom([]*ledgertest.Identity{e.officer, e.officer2}).Draw(e.T, "officer")
	case consortium.RolePatient:
		return rapid.SampledFrom([]*ledgertest.Identity{e.patient, e.neighbour}).Draw(e.T, "patient")
	case consortium.RoleRequester:
		return rapid.SampledFrom([]*ledgertest.Identity{e.insurer, e.lab}).Draw(e.T, "requester")
	case consortium.RoleAuditor:
		return e.auditor
	default:
		return e.ledger.Identity(hospital, "visitor", "")
	}
}

// send sends a transaction, a query too, and reports whether it was accepted.
func (e *everything) send(who *ledgertest.Identity, transaction contract.Transaction) bool {
	name := transaction.Contract + ":" + transaction.Name
	argument, fields := e.argument(name, who)
	p := e.propose(who, name, argument)
	if fields != nil {
		p.Transient(fields)
	}
	var err error
	if transaction.Evaluate {
		_, err = p.On(hospital).Evaluate()
	} else {
		_, err = p.Submit()
	}
	if err == nil {
		return true
	}
	var invalid *ledgertest.CommitError
	switch code := answered(err); {
	case errors.As(err, &invalid) && invalid.Code != peer.TxValidationCode_VALID:
		e.T.Fatalf("%s by %s: %v", name, who, err)
	case code == "" || code == "MF-INTERNAL" || code == "MF-LEDGER-CORRUPT":
		e.T.Fatalf("%s by %s with %+v: %v", name, who, argument, err)
	}
	return false
}

// argument makes an argument that fits where things stand, or nearly.
func (e *everything) argument(name string, who *ledgertest.Identity) (any, map[string][]byte) {
	round := rapid.IntRange(1, 2).Draw(e.T, "round")
	version := rapid.IntRange(1, 3).Draw(e.T, "version")
	w := &world{TB: e.T, ledger: e.ledger}
	scores := w.measured(fl.Round{Trainers: nodeIDs()[:3]})
	rec, given := record.RecordRequest{Record: e.record}, consent.ConsentRequest{Consent: e.id}
	answer := consent.AnswerRequest{Consent: e.id, Offer: e.offer.Offer}
	page := record.PageRequest{By: "patient", Value: e.patient.String(), PageSize: 2}
	switch name {
	case "task:CreateTask":
		return terms(), nil
	case "task:JoinTask":
		return w.join(who.String()), nil
	case "task:StartTask":
		return fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())}, nil
	case "task:RevealSalt":
		return w.salt(who.String()), nil
	case "task:GetTask":
		return fl.TaskRequest{Task: task}, nil
	case "task:GetSpending":
		return fl.DatasetRequest{Node: nodeIDs()[0], Dataset: secret("dataset")}, nil
	case "task:ListTasks", "task:ListSpendings":
		return fl.ListRequest{PageSize: 1}, nil
	case "round:OpenRound", "round:CloseTraining", "round:CloseCommits", "round:Tally", "round:CloseRound", "round:GetRound", "round:GetLineage":
		return request(round), nil
	case "round:GetRoundHistory":
		return fl.HistoryRequest{Task: task, Round: round}, nil
	case "round:SubmitUpdate":
		return w.update(round, who.String()), nil
	case "round:CommitScores":
		return w.commit(round, who.String(), scores), nil
	case "round:RevealScores":
		return w.reveal(round, who.String(), scores), nil
	case "round:ProposeGlobal":
		return fl.ProposeRequest{Task: task, Round: round, Model: global(round)}, nil
	case "round:AttestGlobal":
		return fl.AttestRequest{Task: task, Round: round, Digest: global(round).Digest}, nil
	case "record:Stage":
		return versionOf(e.record, version), transient("version", private(e.record, version))
	case "record:Unstage", "record:GetPrivate", "record:GetVersion":
		return versionOf(e.record, version), nil
	case "record:Register":
		return register(rapid.SampledFrom([]string{e.record, opaque(record.RecordPrefix, 77)}).Draw(e.T, "record")), nil
	case "record:AddVersion":
		return addVersion(e.record, version), nil
	case "record:Deprecate", "record:RequestErasure", "record:Purge", "record:AttestErasure", "record:CompleteErasure", "record:Get", "record:GetErasure":
		return rec, nil
	case "record:List", "consent:List":
		return page, nil
	case "record:ListVersions":
		return record.VersionsRequest{Record: e.record, PageSize: 1}, nil
	case "directory:Publish":
		return record.PublishRequest{Number: 1, Recipient: recipient}, nil
	case "directory:Retire":
		return record.RetireRequest{Role: who.Role, Name: who.Name, Number: 2}, nil
	case "directory:PutHospitalKey":
		return record.HospitalKeyRequest{Number: 1}, transient("key", record.HospitalKey{Number: 1, Recipient: recipient, Wrap: wrapped(canaryWrap)})
	case "directory:ListHospitalKeys":
		return record.HospitalRequest{MSP: hospital}, nil
	case "directory:Get":
		return entryOf(who, who.Role), nil
	case "directory:ListOfficers":
		return record.OfficersRequest{MSP: hospital, PageSize: 1}, nil
	case "consent:Request":
		return consent.AskRequest{Consent: e.draw(consent.ConsentPrefix), Record: e.record, Terms: e.terms(5000)}, nil
	case "consent:Counter", "consent:Renew":
		return consent.OfferRequest{Consent: e.id, Offer: 2, Terms: e.terms(5000)}, nil
	case "consent:Accept":
		return consent.AcceptRequest{Consent: e.id, Offer: e.offer.Offer, Digest: e.offer.Digest()}, nil
	case "consent:Reject", "consent:Withdraw", "consent:ReadTerms":
		return answer, nil
	case "consent:Revoke":
		return consent.RevokeRequest{Consent: e.id, Number: 1}, nil
	case "consent:MarkEnteredInError", "consent:Get", "access:PurgeGrants":
		return given, nil
	case "consent:PutTerms":
		return answer, transient("terms", e.privateTerms())
	case "access:RequestAccess":
		return e.use(e.id, e.record, version), nil
	case "access:PutGrant":
		return consent.GrantRequest{Consent: e.id, Version: version}, transient("grant", grantInput("g"))
	case "access:ReadGrant", "access:GetGrantDigests", "access:Get":
		return consent.ReadGrantRequest{Access: e.permitted}, nil
	case "audit:ListAccesses":
		return consent.AccessListRequest{By: "record", Value: e.record, PageSize: 2}, nil
	case "audit:History":
		return ledger.HistoryRequest{Object: "negotiation", Parts: []string{e.id}}, nil
	default:
		panic(fmt.Sprintf("there is no argument for %s; make one", name))
	}
}

func (e *everything) check() {
	if err := e.held.check(); err != nil {
		e.T.Fatal(err)
	}
}

func (e *everything) printIfFailed() {
	if !e.succeeded {
		printScenario(e.T, e.ledger)
	}
}

// Helper is of both embedded values; the clinic's reports to the same run.
func (e *everything) Helper() { e.T.Helper() }
