package contract_test

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// story sends the examples of the published metadata to a ledger, one after the
// other, each by someone who may and where things stand so that it succeeds.
type story struct {
	*clinic
	t          *testing.T
	all        *published
	validators validators
	told       map[string]bool // transactions whose example was sent
	broken     map[string]bool // bounds that were broken, and refused
}

// fields is a request as JSON.
type fields map[string]any

// example is a transaction's example: its request and, under the name of its
// transient field, its private part.
func (s *story) example(name string) (publishedTransaction, []byte, map[string][]byte) {
	s.Helper()
	contractName, short, _ := strings.Cut(name, ":")
	for _, one := range s.all.Contracts[contractName].Transactions {
		if one.Name != short {
			continue
		}
		private := map[string][]byte{}
		for field, schema := range one.Transient {
			private[field] = schema.Example
		}
		return one, one.Parameters[0].Schema.Example, private
	}
	s.Fatalf("%s is not in the metadata", name)
	return publishedTransaction{}, nil, nil
}

// tell validates a transaction's example, has every document that breaks a bound
// refused where the example itself will be accepted, and sends the example.
func (s *story) tell(by *ledgertest.Identity, name string) []byte {
	s.Helper()
	s.told[name] = true
	_, request, private := s.example(name)
	return s.send(by, name, request, private)
}

// also sends a variation of a transaction's example.
func (s *story) also(by *ledgertest.Identity, name string, change func(request, private fields)) []byte {
	s.Helper()
	_, request, private := s.example(name)
	changed, inside := parse[fields](s, request), fields{}
	for _, text := range private {
		inside = parse[fields](s, text)
	}
	change(changed, inside)
	for field := range private {
		private[field] = s.json(inside)
	}
	return s.send(by, name, s.json(changed), private)
}

func (s *story) json(value any) []byte {
	s.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

func (s *story) send(by *ledgertest.Identity, name string, request []byte, private map[string][]byte) []byte {
	s.Helper()
	transaction, _, _ := s.example(name)
	if err := s.validators.check(transaction.Parameters[0].Schema, request); err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	s.refuseFaults(by, name, transaction.Parameters[0].Schema, request, private)
	for field, text := range private {
		if err := s.validators.check(transaction.Transient[field], text); err != nil {
			s.Fatalf("%s: %v", name, err)
		}
		s.refusePrivateFaults(by, name, transaction.Transient[field], field, request, text)
	}
	p := s.propose(by, name, string(request)).Transient(private)
	if transaction.Event == nil {
		payload, err := p.On(hospital).Evaluate()
		s.answered(name, transaction, payload, err)
		return payload
	}
	result, err := p.Submit()
	if err != nil {
		s.Fatalf("%s by %s with %s: %v", name, by, request, err)
	}
	s.answered(name, transaction, result.Payload, nil)
	if result.Event == nil || result.Event.Name != transaction.Event.Name {
		s.Fatalf("%s sets the event %+v", name, result.Event)
	}
	if err := s.validators.check(transaction.Event.Payload, result.Event.Payload); err != nil {
		s.Errorf("event of %s: %v", name, err)
	}
	return result.Payload
}

func (s *story) answered(name string, transaction publishedTransaction, payload []byte, err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	if err := s.validators.check(transaction.Returns, payload); err != nil {
		s.Errorf("response of %s: %v", name, err)
	}
}

// refuseFaults sends what breaks the schema of a request: the validator and the
// chaincode refuse each.
func (s *story) refuseFaults(by *ledgertest.Identity, name string, schema *node, request []byte, private map[string][]byte) {
	s.Helper()
	for _, fault := range s.all.faults(s.t, schema, request) {
		if s.broken[name+" "+fault.name] {
			continue
		}
		s.broken[name+" "+fault.name], s.broken[fault.name] = true, true
		s.refuses(name, schema, fault, s.propose(by, name, fault.text).Transient(private))
	}
}

// refusePrivateFaults does the same with a transient field.
func (s *story) refusePrivateFaults(by *ledgertest.Identity, name string, schema *node, field string, request, private []byte) {
	s.Helper()
	for _, fault := range s.all.faults(s.t, schema, private) {
		if s.broken[name+" "+fault.name] {
			continue
		}
		s.broken[name+" "+fault.name], s.broken[fault.name] = true, true
		s.refuses(name, schema, fault, s.propose(by, name, string(request)).Transient(map[string][]byte{field: []byte(fault.text)}))
	}
}

func (s *story) refuses(name string, schema *node, fault fault, p *ledgertest.Proposal) {
	s.Helper()
	if s.validators.check(schema, []byte(fault.text)) == nil {
		s.Errorf("%s: the schema allows %s: %s", name, fault.name, fault.text)
	}
	_, err := p.On(hospital).Aside().Evaluate()
	switch code := answered(err); code {
	case "", "MF-INTERNAL", "MF-LEDGER-CORRUPT", "MF-LEDGER-READ":
		s.Errorf("%s: %s: got %v, want a refusal: %s", name, fault.name, err, fault.text)
	}
}

// TestExamplesAreAStoryThatSucceeds validates the example of every transaction
// against its schema, with a validator of its own, and sends it; so do the
// responses and the events fit their schemas. What lies outside of any bound of a
// request or a transient field, the chaincode refuses.
func TestExamplesAreAStoryThatSucceeds(t *testing.T) {
	c := newClinic(t)
	if c.now() != contract.ExampleTime {
		t.Fatalf("the ledger begins at %d and the story at %d", c.now(), contract.ExampleTime)
	}
	text, all := metadataOf(c)
	s := &story{clinic: c, t: t, all: all, validators: newValidators(c, text), told: map[string]bool{}, broken: map[string]bool{}}
	s.federated()
	s.privateTask()
	s.records()
	s.consents()
	s.erasure()

	for _, transaction := range contract.Transactions() {
		if name := transaction.Contract + ":" + transaction.Name; !s.told[name] {
			t.Errorf("the example of %s was not sent", name)
		}
		published, _, _ := s.example(transaction.Contract + ":" + transaction.Name)
		bounds := map[string]bool{}
		s.all.bounds(published.Parameters[0].Schema, bounds)
		for _, schema := range published.Transient {
			s.all.bounds(schema, bounds)
		}
		var left []string
		for bound := range bounds {
			if !s.broken[bound] {
				left = append(left, bound)
			}
		}
		sort.Strings(left)
		if len(left) > 0 {
			t.Errorf("%s:%s: nothing was sent that breaks %q", transaction.Contract, transaction.Name, left)
		}
	}
}

// nodes are the six nodes of the story's task.
func (s *story) nodes() []*ledgertest.Identity {
	var nodes []*ledgertest.Identity
	for _, msp := range []string{"Hospital1MSP", "Hospital2MSP", "Hospital3MSP", "Hospital4MSP", "ResearchCentreMSP"} {
		nodes = append(nodes, s.ledger.Identity(msp, "node1", "trainer"))
	}
	return append(nodes, s.ledger.Identity("Hospital2MSP", "node2", "trainer"))
}

func (s *story) node(id string) *ledgertest.Identity {
	msp, name, _ := strings.Cut(id, "/")
	return s.ledger.Identity(msp, name, "trainer")
}

// federated is a task and its first round.
func (s *story) federated() {
	s.Helper()
	s.tell(s.coordinator, "task:CreateTask")
	nodes := s.nodes()
	s.tell(nodes[0], "task:JoinTask")
	for _, one := range nodes[1:] {
		s.also(one, "task:JoinTask", func(request, _ fields) {
			request["commitment"] = fl.SaltCommitment(request["task"].(string), one.String(), contract.ExampleDraw(one.String()))
		})
	}
	s.tell(s.coordinator, "task:StartTask")
	s.tell(nodes[0], "task:RevealSalt")
	for _, one := range nodes[1:] {
		s.also(one, "task:RevealSalt", func(request, _ fields) { request["salt"] = contract.ExampleDraw(one.String()) })
	}
	for _, query := range []string{"task:GetTask", "task:ListTasks", "task:GetSpending", "task:ListSpendings"} {
		s.tell(s.coordinator, query)
	}

	round := parse[fl.Round](s, s.tell(s.coordinator, "round:OpenRound"))
	_, text, _ := s.example("round:RevealScores")
	reveal := parse[fl.RevealRequest](s, text)
	_, text, _ = s.example("round:CommitScores")
	sealed := parse[fl.CommitRequest](s, text)
	trainers := slices.Sorted(slices.Values(round.Trainers))
	master := slices.IndexFunc(round.Masters, func(master string) bool {
		return fl.ScoresCommitment(reveal.Task, reveal.Round, master, reveal.Scores, reveal.Salt) == sealed.Hash
	})
	if len(trainers) != 2 || reveal.Scores[0].Node != trainers[0] || reveal.Scores[1].Node != trainers[1] || master < 0 {
		s.Fatalf("the beacon draws the trainers %v and the masters %v, and the examples have others; name these there", trainers, round.Masters)
	}
	s.tell(s.node(trainers[0]), "round:SubmitUpdate")
	s.also(s.node(trainers[1]), "round:SubmitUpdate", func(request, _ fields) {
		request["model"].(map[string]any)["digest"] = contract.ExampleDraw("another update")
	})
	s.tell(s.coordinator, "round:CloseTraining")
	others := slices.Delete(slices.Clone(round.Masters), master, master+1)
	s.tell(s.node(round.Masters[master]), "round:CommitScores")
	for _, other := range others {
		s.also(s.node(other), "round:CommitScores", func(request, _ fields) {
			request["hash"] = fl.ScoresCommitment(reveal.Task, reveal.Round, other, reveal.Scores, contract.ExampleDraw(other))
		})
	}
	s.tell(s.coordinator, "round:CloseCommits")
	s.tell(s.node(round.Masters[master]), "round:RevealScores")
	for _, other := range others {
		s.also(s.node(other), "round:RevealScores", func(request, _ fields) { request["salt"] = contract.ExampleDraw(other) })
	}
	s.tell(s.coordinator, "round:Tally")
	s.tell(s.coordinator, "round:ProposeGlobal")
	s.tell(s.node(round.Masters[master]), "round:AttestGlobal")
	for _, other := range others {
		s.also(s.node(other), "round:AttestGlobal", func(fields, fields) {})
	}
	s.tell(s.coordinator, "round:CloseRound")
	for _, query := range []string{"round:GetRound", "round:GetLineage", "round:GetRoundHistory"} {
		s.tell(s.coordinator, query)
	}
}

// privateTask is a private task, for the properties that only such a one has.
func (s *story) privateTask() {
	s.Helper()
	s.also(s.coordinator, "task:CreateTask", func(request, _ fields) {
		request["task"] = "pneumonia-private"
		training := request["training"].(map[string]any)
		delete(training, "augmentation")
		delete(training, "balance_classes")
		request["privacy"] = fl.Privacy{NoiseMultiplier: fl.One, ClippingNorm: fl.One, InverseDelta: 100_000, Epsilon: 8 * fl.One}
		request["backbone"] = fl.Backbone{Digest: contract.ExampleDraw("backbone")}
	})
	s.also(s.nodes()[0], "task:JoinTask", func(request, _ fields) {
		request["task"], request["dataset"], request["examples"], request["budget"] = "pneumonia-private", contract.ExampleDraw("data set"), 1000, 10*fl.One
	})
	s.also(s.coordinator, "task:ListTasks", func(request, _ fields) { request["bookmark"] = "" })
}

// patientOfStory is who the registered record is of.
func (s *story) patientOfStory() *ledgertest.Identity {
	_, text, _ := s.example("record:Register")
	return s.ledger.Identity(hospital, parse[fields](s, text)["patient"].(string), "patient")
}

// records are the directory, and a record with two versions.
func (s *story) records() {
	s.Helper()
	s.tell(s.officer, "directory:Publish")
	s.tell(s.officer, "directory:PutHospitalKey")
	for _, query := range []string{"directory:Get", "directory:ListOfficers", "directory:ListHospitalKeys"} {
		s.tell(s.officer, query)
	}
	s.tell(s.officer, "directory:Retire")

	second := func(request, private fields) { request["version"], private["version"] = 2, 2 }
	s.tell(s.officer, "record:Stage")
	s.tell(s.officer, "record:Register")
	s.also(s.officer, "record:Stage", second)
	s.tell(s.officer, "record:Unstage")
	s.also(s.officer, "record:Stage", second)
	s.tell(s.officer, "record:AddVersion")
	for _, query := range []string{"record:Get", "record:List", "record:GetVersion", "record:ListVersions", "record:GetPrivate"} {
		s.tell(s.officer, query)
	}
}

// consents are a negotiation with its accesses.
func (s *story) consents() {
	s.Helper()
	patient := s.patientOfStory()
	s.tell(s.insurer, "consent:Request")
	s.tell(patient, "consent:Counter")
	s.tell(patient, "consent:PutTerms")
	s.tell(s.insurer, "consent:ReadTerms")
	s.tell(s.insurer, "consent:Accept")
	s.tell(patient, "consent:Renew")
	s.tell(patient, "consent:Withdraw")
	s.also(patient, "consent:Renew", func(request, _ fields) { request["offer"] = 4 })
	s.tell(s.insurer, "consent:Reject")
	s.tell(s.insurer, "consent:Get")
	s.tell(s.insurer, "consent:List")
	s.tell(s.insurer, "access:RequestAccess")
	s.tell(s.officer, "access:PutGrant")
	for _, query := range []string{"access:ReadGrant", "access:GetGrantDigests", "access:Get"} {
		s.tell(s.insurer, query)
	}
	s.tell(s.auditor, "audit:ListAccesses")
	s.tell(s.auditor, "audit:History")
	s.tell(patient, "consent:Revoke")
	s.tell(patient, "consent:MarkEnteredInError")
	s.tell(patient, "access:PurgeGrants")
}

// erasure is the end of the record.
func (s *story) erasure() {
	s.Helper()
	s.tell(s.officer, "record:Deprecate")
	s.tell(s.officer, "record:RequestErasure")
	s.tell(s.officer, "record:Purge")
	s.tell(s.officer, "record:AttestErasure")
	s.tell(s.officer, "record:GetErasure")
	s.also(s.coordinator, "record:AttestErasure", func(fields, fields) {})
	s.also(s.officer2, "record:AttestErasure", func(fields, fields) {})
	s.tell(s.officer, "record:CompleteErasure")
}
