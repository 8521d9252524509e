package contract_test

import (
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/record"
)

// newRecipient is a fresh age recipient.
func newRecipient(c *clinic) string {
	c.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		c.Fatal(err)
	}
	return key.Recipient().String()
}

func entryOf(id *ledgertest.Identity, role string) record.RecipientRequest {
	return record.RecipientRequest{Identity: id.String(), Role: role}
}

func TestDirectoryKeepsTheNewestAndItsHistory(t *testing.T) {
	c := newClinic(t)
	first, second := newRecipient(c), newRecipient(c)
	_, err := c.propose(c.officer, "directory:Get", entryOf(c.patient, "patient")).Evaluate()
	c.isRefusal("MF-RECIPIENT-UNKNOWN", err)
	c.do(c.patient, "directory:Publish", record.PublishRequest{Number: 1, Recipient: first})
	c.later(5)
	again := put[record.Recipient](c, c.patient, "directory:Publish", record.PublishRequest{Number: 1, Recipient: first})
	if found := get[record.Recipient](c, c.insurer, "directory:Get", entryOf(c.patient, "patient")); found != again || found.Recipient != first || found.ChangedBy != c.patient.String() {
		t.Errorf("%+v, published %+v", found, again)
	}
	c.refused("MF-RECIPIENT-NUMBER", c.propose(c.patient, "directory:Publish", record.PublishRequest{Number: 1, Recipient: second}))
	c.refused("MF-RECIPIENT-NUMBER", c.propose(c.patient, "directory:Publish", record.PublishRequest{Number: 3, Recipient: second}))
	c.refused("MF-RECIPIENT-INVALID", c.propose(c.patient, "directory:Publish", record.PublishRequest{Number: 2, Recipient: "age1nobody"}))
	c.do(c.patient, "directory:Publish", record.PublishRequest{Number: 2, Recipient: second})
	if found := get[record.Recipient](c, c.officer, "directory:Get", entryOf(c.patient, "patient")); found.Recipient != second || found.Number != 2 {
		t.Errorf("%+v", found)
	}
	c.do(c.patient, "directory:Retire", record.RetireRequest{Role: "patient", Name: pseudonym(1), Number: 3})
	if found := get[record.Recipient](c, c.officer, "directory:Get", entryOf(c.patient, "patient")); found.Recipient != "" {
		t.Errorf("%+v", found)
	}
	history := get[ledger.History](c, c.auditor, "audit:History", ledger.HistoryRequest{Object: "recipient", Parts: []string{hospital, "patient", pseudonym(1)}})
	if len(history.Entries) != 3 || history.Entries[0].By != c.patient.String() {
		t.Errorf("%+v", history)
	}
}

// Nobody publishes for another: the certificate alone says whose entry it is.
func TestCase18NobodyPublishesForAnother(t *testing.T) {
	c := newClinic(t)
	own, foreign := newRecipient(c), newRecipient(c)
	c.do(c.officer, "directory:Publish", record.PublishRequest{Number: 1, Recipient: own})
	for _, owner := range []string{"identity", "name", "msp", "role"} {
		c.refused("MF-ARGUMENT-UNKNOWN-FIELD", c.propose(c.neighbour, "directory:Publish", `{"number":2,"recipient":"`+foreign+`","`+owner+`":"`+c.officer.String()+`"}`))
	}
	// The same name in another organisation, or with another role, is another entry.
	c.do(c.officer2, "directory:Publish", record.PublishRequest{Number: 1, Recipient: foreign})
	namesake := c.ledger.Identity(hospital, "officer", "trainer")
	c.do(namesake, "directory:Publish", record.PublishRequest{Number: 1, Recipient: foreign})
	if found := get[record.Recipient](c, c.insurer, "directory:Get", entryOf(c.officer, "custodian")); found.Recipient != own || found.Number != 1 {
		t.Errorf("%+v", found)
	}
	c.refused("MF-ROLE-MISSING", c.propose(c.ledger.Identity(hospital, "nobody", ""), "directory:Publish", record.PublishRequest{Number: 1, Recipient: own}))
	c.refused("MF-PATIENT-PSEUDONYM", c.propose(c.ledger.Identity(hospital, "Alice Smith", "patient"), "directory:Publish", record.PublishRequest{Number: 1, Recipient: own}))

	// Officers retire officers of their own hospital, and nobody else anybody.
	retire := record.RetireRequest{Role: "custodian", Name: "officer", Number: 2}
	for _, stranger := range []*ledgertest.Identity{c.patient, c.insurer, c.coordinator, namesake} {
		c.refused("MF-RECIPIENT-DENIED", c.propose(stranger, "directory:Retire", retire))
	}
	c.do(c.patient, "directory:Publish", record.PublishRequest{Number: 1, Recipient: own})
	c.refused("MF-RECIPIENT-DENIED", c.propose(c.officer, "directory:Retire", record.RetireRequest{Role: "patient", Name: pseudonym(1), Number: 2}))
	c.do(c.officer2, "directory:Retire", retire) // that of Hospital2's own officer of this name
	if found := get[record.Recipient](c, c.insurer, "directory:Get", entryOf(c.officer, "custodian")); found.Recipient != own {
		t.Errorf("another hospital's officer retired %+v", found)
	}
	colleague := c.ledger.Identity(hospital, "officer-b", "custodian")
	c.do(colleague, "directory:Retire", retire)
	page := get[record.RecipientPage](c, c.insurer, "directory:ListOfficers", record.OfficersRequest{MSP: hospital, PageSize: 10})
	if len(page.Recipients) != 1 || page.Recipients[0].Recipient != "" || page.Recipients[0].ChangedBy != colleague.String() {
		t.Errorf("%+v", page)
	}
	c.private()
}

func (c *clinic) hospitalKey(number int, recipient, wrap string) *ledgertest.Proposal {
	return c.propose(c.officer, "directory:PutHospitalKey", record.HospitalKeyRequest{Number: number}).
		Transient(transient("key", record.HospitalKey{Number: number, Recipient: recipient, Wrap: wrapped(wrap)}))
}

// A hospital's officers, and they alone, hold its keys together; a key may be
// shared anew and is never replaced by another.
func TestHospitalKeysAreSharedAndNeverReplaced(t *testing.T) {
	c := newClinic(t)
	first, second := newRecipient(c), newRecipient(c)
	colleague := c.ledger.Identity(hospital, "officer-b", "custodian")
	keysOf := func(who *ledgertest.Identity) []record.HospitalKey {
		payload, err := c.propose(who, "directory:ListHospitalKeys", record.HospitalRequest{MSP: hospital}).On(hospital).Evaluate()
		if err != nil {
			t.Fatal(err)
		}
		return parse[[]record.HospitalKey](c, payload)
	}
	if keys := keysOf(c.officer); len(keys) != 0 {
		t.Errorf("%+v", keys)
	}
	c.refused("MF-HOSPITAL-KEY-NUMBER", c.hospitalKey(2, second, canaryWrap))
	c.refused("MF-HOSPITAL-KEY-NUMBER", c.hospitalKey(0, second, canaryWrap))
	c.refused("MF-RECIPIENT-INVALID", c.hospitalKey(1, "age1nobody", canaryWrap))
	for range 2 {
		if _, err := c.hospitalKey(1, first, canaryWrap).Submit(); err != nil {
			t.Fatal(err)
		}
	}
	c.refused("MF-HOSPITAL-KEY-EXISTS", c.hospitalKey(1, second, canaryWrap))
	for _, put := range []*ledgertest.Proposal{c.hospitalKey(1, first, canaryWrap+" anew"), c.hospitalKey(2, second, canaryWrap)} {
		if _, err := put.Submit(); err != nil {
			t.Fatal(err)
		}
	}
	want := []record.HospitalKey{{Number: 1, Recipient: first, Wrap: wrapped(canaryWrap + " anew")}, {Number: 2, Recipient: second, Wrap: wrapped(canaryWrap)}}
	for _, officer := range []*ledgertest.Identity{c.officer, colleague} {
		if keys := keysOf(officer); !slices.Equal(keys, want) {
			t.Errorf("%s: %+v", officer, keys)
		}
	}
	for _, stranger := range []*ledgertest.Identity{c.officer2, c.patient, c.coordinator} {
		if _, err := c.propose(stranger, "directory:ListHospitalKeys", record.HospitalRequest{MSP: hospital}).On(hospital).Evaluate(); err == nil {
			t.Errorf("%s reads the hospital's keys", stranger)
		}
	}
	c.refused("MF-ROLE-DENIED", c.propose(c.patient, "directory:PutHospitalKey", record.HospitalKeyRequest{Number: 1}))
	insurersOfficer := c.ledger.Identity("InsurerMSP", "officer", "custodian")
	if _, err := c.propose(insurersOfficer, "directory:PutHospitalKey", record.HospitalKeyRequest{Number: 1}).
		Transient(transient("key", want[0])).Submit(); err == nil {
		t.Error("an organisation that is no hospital put a key")
	}
	c.refused("MF-PRIVATE-READ", c.hospitalKey(2, second, canaryWrap).On("Hospital2MSP"))
	c.invalid(c.hospitalKey(3, first, canaryWrap).On("Hospital2MSP"))
	c.private()
}
