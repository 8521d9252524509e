package contract_test

import (
	"encoding/json"
	"sort"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// story sends the examples of the published metadata to a ledger, each where things
// stand so that it succeeds.
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

// tell sends a call of the story. Where that is an example, it is the published one.
func (s *story) tell(call contract.Call) {
	s.Helper()
	request, private := s.json(call.Request), map[string][]byte{}
	if call.Example {
		s.told[call.Transaction] = true
		_, request, private = s.example(call.Transaction)
	} else if call.Private != nil {
		_, _, private = s.example(call.Transaction)
		for field := range private {
			private[field] = s.json(call.Private)
		}
	}
	s.send(s.ledger.Identity(call.MSP, call.Name, string(call.Role)), call.Transaction, request, private)
}

// also sends a variation of a transaction's example.
func (s *story) also(by *ledgertest.Identity, name string, change func(request fields)) {
	s.Helper()
	_, request, private := s.example(name)
	changed := parse[fields](s, request)
	change(changed)
	s.send(by, name, s.json(changed), private)
}

func (s *story) json(value any) []byte {
	s.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// send validates a request, has every document that breaks a bound refused where the
// request itself will be accepted, and sends it.
func (s *story) send(by *ledgertest.Identity, name string, request []byte, private map[string][]byte) {
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
		return
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
	for _, call := range contract.Story() {
		s.tell(call)
	}
	s.privateTask()

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

// privateTask is a private task, for the properties that only such a one has.
func (s *story) privateTask() {
	s.Helper()
	s.also(s.coordinator, "task:CreateTask", func(request fields) {
		request["task"] = "pneumonia-private"
		training := request["training"].(map[string]any)
		delete(training, "augmentation")
		delete(training, "balance_classes")
		request["privacy"] = fl.Privacy{NoiseMultiplier: fl.One, ClippingNorm: fl.One, InverseDelta: 100_000, Epsilon: 8 * fl.One}
		request["backbone"] = fl.Backbone{Digest: contract.ExampleDraw("backbone")}
	})
	s.also(s.ledger.Identity(hospital, "node1", "trainer"), "task:JoinTask", func(request fields) {
		request["task"], request["dataset"], request["examples"], request["budget"] = "pneumonia-private", contract.ExampleDraw("data set"), 1000, 10*fl.One
	})
	s.also(s.coordinator, "task:ListTasks", func(request fields) { request["bookmark"] = "" })
}
