package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

// isRecords reports whether documents of an object are of records or of the
// directory. What they say comes from the private input in part, so each is held
// to rules instead of being made again.
func isRecords(object string) bool {
	switch object {
	case "record", "version", "erasure", "record-patient", "record-custodian", "recipient":
		return true
	default:
		return false
	}
}

// checkRecords holds one write to the rules.
func (r *review) checkRecords(key []string, value []byte) {
	switch key[0] {
	case "record":
		checked(r, key, value, r.checkRecord)
	case "version":
		checked(r, key, value, r.checkVersion)
	case "erasure":
		checked(r, key, value, r.checkAttestation)
	case "recipient":
		checked(r, key, value, r.checkRecipient)
	default: // record-patient, record-custodian
		checked(r, key, value, r.checkReference)
	}
}

// read reads the transaction's argument; nothing when it is another's.
func (r *review) read(argument any) {
	if strings.HasPrefix(r.function, "record:") {
		_ = json.Unmarshal(r.argument, argument) // what can't be read is empty, and differs
	}
}

// rules are what a document is held to, in order.
type rules struct {
	r   *review
	key []string
}

// want notes a difference unless what the ledger has is what follows.
func (c rules) want(what string, got, follows any) {
	if g, f := fmt.Sprint(got), fmt.Sprint(follows); g != f {
		c.r.differ(c.key, what, g, f)
	}
}

// checked reads a document that a transaction writes and holds it to a rule.
func checked[T any](r *review, key []string, value []byte, rule func(rules, T)) {
	var content T
	if err := json.Unmarshal(value, &content); err != nil {
		r.differ(key, "document", string(value), fmt.Sprintf("a %T", content))
		return
	}
	rule(rules{r, key}, content)
}

// writes reads a document that the transaction itself writes.
func writes[T any](r *review, key ledger.Key) (content T, found bool) {
	composite, err := key.Composite()
	if err != nil {
		return content, false
	}
	w, found := r.written[composite]
	return content, found && !w.IsDelete && json.Unmarshal(w.Value, &content) == nil
}

// checkRecord: the custodian registers it, what identifies it never changes, its
// state moves by the table, and its versions grow by one.
func (r *review) checkRecord(c rules, rec record.Record) {
	before, found := prior[record.Record](r, ledger.RecordKey(rec.Record))
	c.want("record", rec.Record, c.key[1])
	c.want("changed_by", rec.ChangedBy, r.caller.ID)
	c.want("changed_at", rec.ChangedAt, max(r.now, before.ChangedAt))
	officer := r.caller.Role == ledger.RoleCustodian && r.caller.MSP == rec.Custodian
	patient := r.caller.Role == ledger.RolePatient && r.caller.ID == rec.Patient
	if !found {
		var asked record.RegisterRequest
		r.read(&asked)
		before = record.Record{Record: rec.Record, Kind: asked.Kind, Custodian: r.caller.MSP, Patient: r.caller.MSP + "/" + asked.Patient, RegisteredAt: r.now}
		_, indexed := writes[ledger.Reference](r, ledger.RecordOfPatientKey(rec.Patient, rec.Record))
		c.want("entry in the patient's list", indexed, true)
	}
	c.want("kind", rec.Kind, before.Kind)
	c.want("custodian", rec.Custodian, before.Custodian)
	c.want("patient", rec.Patient, before.Patient)
	c.want("registered_at", rec.RegisteredAt, before.RegisteredAt)
	if rec.Status != before.Status {
		move := record.Move{From: before.Status, To: rec.Status, By: strings.TrimPrefix(r.function, "record:")}
		c.want(fmt.Sprintf("move from %q to %q by %s", move.From, move.To, r.function), slices.ContainsFunc(record.Moves(), func(m record.Move) bool {
			return m.From == move.From && m.To == move.To && m.By == move.By
		}), true)
		c.want("who moves it", officer || patient && found && !rec.Status.Accessible(), true)
	}
	_, added := writes[record.Version](r, ledger.VersionKey(rec.Record, before.Versions+1))
	follows := before.Versions
	if added {
		follows++
		c.want("who adds a version", officer, true)
		c.want("status", rec.Status, record.Active)
	}
	c.want("versions", rec.Versions, follows)
	c.want("anything new", added || rec.Status != before.Status, true)
	if rec.Status == record.Erased {
		c.want("what is left to be erased", r.unerased(before), []string{})
	}
}

// checkVersion: versions are counted without gaps, written once, and their digest
// is that of what the custodian's collection holds.
func (r *review) checkVersion(c rules, version record.Version) {
	before, _ := prior[record.Record](r, ledger.RecordKey(c.key[1]))
	number, _ := strconv.Atoi(c.key[2])
	rec, found := writes[record.Record](r, ledger.RecordKey(c.key[1]))
	c.want("version", number, before.Versions+1)
	c.want("version", version.Version, number)
	c.want("record", version.Record, c.key[1])
	c.want("record's own document", found, true)
	c.want("added_by", version.AddedBy, r.caller.ID)
	c.want("added_at", version.AddedAt, r.now)
	var asked record.AddVersionRequest // what Register asks for has the same fields
	r.read(&asked)
	c.want("digest", version.Digest, asked.Digest)
	c.want("size", version.Size, asked.Size)
	c.want("holders", version.Holders, asked.Holders)
	if err := record.CheckVersion(version, rec.Custodian); err != nil {
		c.want("document", err, nil)
	}
	c.want("the collection holds the digest's document",
		r.holds(collections.Records(rec.Custodian), ledger.PrivateVersionKey(c.key[1], number), version.Digest), true)
}

// checkAttestation: a member attests an erasure that was asked for, itself and once.
func (r *review) checkAttestation(c rules, attestation record.Attestation) {
	rec, _ := prior[record.Record](r, ledger.RecordKey(c.key[1]))
	_, again := prior[record.Attestation](r, ledger.ErasureKey(c.key[1], c.key[2]))
	c.want("attested before", again, false)
	c.want("an erasure was asked for", rec.Status == record.Erasing || rec.Status == record.Erased, true)
	c.want("record", attestation.Record, c.key[1])
	c.want("member", attestation.Member, c.key[2])
	c.want("member", attestation.Member, r.caller.MSP)
	c.want("by", attestation.By, r.caller.ID)
}

// checkRecipient: an identity publishes its own key, and only its organisation
// changes the entry.
func (r *review) checkRecipient(c rules, entry record.Recipient) {
	before, _ := prior[record.Recipient](r, ledger.RecipientKey(c.key[1], c.key[2], c.key[3]))
	c.want("organisation", c.key[1], r.caller.MSP)
	c.want("number", entry.Number, before.Number+1)
	c.want("changed_by", entry.ChangedBy, r.caller.ID)
	if entry.Recipient != "" {
		c.want("identity", strings.Join(c.key[2:], "/"), string(r.caller.Role)+"/"+r.caller.Name)
		c.want("identity", entry.Identity, r.caller.ID)
	}
}

// checkReference: a record is listed when it is registered, under whom it is of.
func (r *review) checkReference(c rules, reference ledger.Reference) {
	rec, found := writes[record.Record](r, ledger.RecordKey(c.key[2]))
	_, before := prior[record.Record](r, ledger.RecordKey(c.key[2]))
	follows := rec.Patient
	if c.key[0] == "record-custodian" {
		follows = rec.Custodian
	}
	c.want("registered with it", found && !before, true)
	c.want("whose record", c.key[1], follows)
	c.want("id", reference.ID, c.key[2])
}

// unerased names what keeps a record from being erased: private documents that
// its collections still hold, by the hashes, and members that have not attested.
func (r *review) unerased(rec record.Record) []string {
	left := []string{}
	look := func(collection string, key ledger.Key) {
		composite, err := key.Composite()
		if err == nil && r.state.hashNow(r.chaincode, collection, composite) != "" {
			left = append(left, key.String())
		}
	}
	records, grants := collections.Records(rec.Custodian), collections.Grants(rec.Custodian)
	look(records, ledger.CustodyKey(rec.Record))
	for version := 1; version <= rec.Versions+1; version++ {
		look(records, ledger.PrivateVersionKey(rec.Record, version))
	}
	d := documents{r.state, r.chaincode}
	references, err := list[ledger.Reference](d, "consent-record", rec.Record)
	if err != nil {
		r.fail(err)
	}
	for _, reference := range references {
		given, _, _ := r.consent(reference.ID)
		for offer := 1; offer <= given.Offers; offer++ {
			look(grants, ledger.TermsKey(reference.ID, offer))
		}
		for agreement := 1; given.Agreement != nil && agreement <= given.Agreement.Version; agreement++ {
			for version := 1; version <= rec.Versions; version++ {
				for _, writer := range consent.Writers() {
					look(grants, ledger.GrantKey(reference.ID, agreement, version, string(writer)))
				}
			}
		}
	}
	return append(left, r.unattested(rec)...)
}

// unattested are the members that must attest an erasure and have not.
func (r *review) unattested(rec record.Record) []string {
	d := documents{r.state, r.chaincode}
	versions, err := list[record.Version](d, "version", rec.Record)
	if err != nil {
		r.fail(err)
	}
	attestations, err := list[record.Attestation](d, "erasure", rec.Record)
	if err != nil {
		r.fail(err)
	}
	named, _ := prior[record.ErasureMembers](r, ledger.ErasureMembersKey(rec.Record))
	missing := record.MissingAttestations(named.With(record.Holders(versions)).Members, attestations)
	slices.Sort(missing)
	return missing
}

// omitted notes what a transaction on records had to write and did not: a record
// or version that somebody signed for, and an erasure that was asked for.
func (r *review) omitted() {
	var named record.VersionRequest
	r.read(&named)
	rec, found := prior[record.Record](r, ledger.RecordKey(named.Record))
	_, written := writes[record.Record](r, ledger.RecordKey(named.Record))
	due := false
	switch r.function {
	case "record:Register":
		due = !found
	case "record:AddVersion":
		due = named.Version == rec.Versions+1
	case "record:RequestErasure":
		due = rec.Status.Accessible()
	}
	if due && !written {
		r.differ([]string{"record", named.Record}, "document", "nothing", "the result of "+r.function)
	}
}
