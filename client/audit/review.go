package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
)

// Every valid transaction on records, consents and accesses is decided again, by
// the rules of package consent, from what everyone may know: who signed it, its
// time, its argument, and the public state that the transactions before it have
// left. Endorsers who collude can commit any writes; here the writes must be those
// that follow. What is private is known by its hash only: that a collection holds
// the document of a public digest is checked, what the document says can't be.
// Neither can what never comes to the ledger, a grantee's reading of a grant.

// review decides one transaction again.
type review struct {
	state     *state
	chaincode string
	at        place
	function  string
	argument  []byte
	caller    ledger.Caller
	now       int64 // the transaction's time in Unix seconds
	txID      string
	written   map[string]*kvrwset.KVWrite // what is decided again, by key
	found     []Difference
	failed    error // a document of the state that can't be read
}

// expected is a write that follows from the rules.
type expected struct {
	key      ledger.Key
	document any
}

// review decides a transaction again, before its writes are taken.
func (v *verifier) review(at place, tx *transaction) error {
	for _, set := range tx.sets {
		if set.name == lifecycleNamespace {
			continue
		}
		v.countPrivate(set)
		r, err := v.newReview(at, tx, set)
		if err != nil {
			return fault("MF-AUDIT-STATE", at, "%v", err)
		}
		r.decide()
		if r.failed != nil {
			return r.failed
		}
		v.summary.Differences = append(v.summary.Differences, r.found...)
	}
	return nil
}

func (v *verifier) newReview(at place, tx *transaction, set *namespaceSet) (*review, error) {
	r := &review{
		state: v.state, chaincode: set.name, at: at, now: tx.channel.GetTimestamp().GetSeconds(), txID: tx.channel.GetTxId(),
		written: map[string]*kvrwset.KVWrite{},
	}
	for _, w := range set.public.Writes {
		if isReviewed(splitKey(w.Key)) {
			r.written[w.Key] = w
		}
	}
	if set.name == tx.chaincode && len(tx.arguments) == 2 { // else another chaincode's transaction writes here
		r.function, r.argument = string(tx.arguments[0]), tx.arguments[1]
	}
	id, err := v.channel.identify(tx.creator.Creator)
	if err != nil {
		return nil, err
	}
	r.caller, err = callerOf(id)
	return r, err
}

// callerOf is who signed a transaction, as the chaincode knows them.
func callerOf(id *identity) (ledger.Caller, error) {
	caller := ledger.Caller{MSP: id.org.id, Name: id.certificate.Subject.CommonName}
	caller.ID = caller.MSP + "/" + caller.Name
	attributes, err := attrmgr.New().GetAttributesFromCert(id.certificate)
	if err != nil {
		return caller, fmt.Errorf("the attributes of its creator can't be read: %w", err)
	}
	role, _, err := attributes.Value(ledger.RoleAttribute)
	caller.Role = ledger.Role(role)
	return caller, err
}

// isReviewed reports whether documents of a key are decided again.
func isReviewed(key []string) bool {
	if len(key) < 2 {
		return false
	}
	switch key[0] {
	case "record", "version", "erasure", "record-patient", "record-custodian", "recipient",
		"consent", "negotiation", "revocation", "offer", "agreement", "consent-patient", "consent-grantee", "consent-record", "access":
		return true
	default:
		return strings.HasPrefix(key[0], "access-")
	}
}

// decide compares the transaction's writes with those that follow from the rules.
func (r *review) decide() {
	r.omitted()
	follows, refusal := r.follows()
	for _, e := range follows {
		r.compare(e)
	}
	because := "nothing"
	if refusal != nil {
		because = "refused, " + string(codes.Of(refusal))
	}
	for _, key := range slices.Sorted(maps.Keys(r.written)) {
		parts, w := splitKey(key), r.written[key]
		switch {
		case w.IsDelete:
			r.differ(parts, "document", "deleted", "kept for ever")
		case isRecords(parts[0]):
			r.checkRecords(parts, w.Value)
		default:
			r.differ(parts, "document", string(w.Value), because)
		}
	}
}

// compare checks one write that must be there and takes it off the list.
func (r *review) compare(e expected) {
	key, err := e.key.Composite()
	if err != nil {
		r.fail(err)
		return
	}
	want, err := ledger.Marshal(e.document)
	if err != nil {
		r.fail(err)
		return
	}
	parts := splitKey(key)
	w, ok := r.written[key]
	delete(r.written, key)
	switch {
	case !ok:
		r.differ(parts, "document", "nothing", string(want))
	case w.IsDelete:
		r.differ(parts, "document", "deleted", string(want))
	case !bytes.Equal(w.Value, want):
		what, got, follows := apart(w.Value, want)
		r.differ(parts, what, got, follows)
	}
}

// apart names the fields in which two documents differ, and gives them of each.
func apart(a, b []byte) (fields, ofA, ofB string) {
	var left, right map[string]json.RawMessage
	if json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil {
		return "document", string(a), string(b)
	}
	names := map[string]bool{}
	for _, document := range []map[string]json.RawMessage{left, right} {
		for name := range document {
			if !bytes.Equal(left[name], right[name]) {
				names[name] = true
			}
		}
	}
	if len(names) == 0 {
		return "document", string(a), string(b)
	}
	var all, ofLeft, ofRight []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, name)
		ofLeft, ofRight = append(ofLeft, name+" "+string(left[name])), append(ofRight, name+" "+string(right[name]))
	}
	return strings.Join(all, ", "), strings.Join(ofLeft, ", "), strings.Join(ofRight, ", ")
}

// differ notes a difference at a document.
func (r *review) differ(key []string, what, got, follows string) {
	r.found = append(r.found, Difference{
		Document: strings.Join(key, "/"), What: what, Ledger: got, Replayed: follows,
		Block: r.at.block, Transaction: uint64(r.at.transaction),
	})
}

func (r *review) fail(err error) {
	if r.failed == nil {
		r.failed = fault("MF-AUDIT-STATE", r.at, "a document can't be read: %v", err)
	}
}

// prior reads a document of the state as it is before the transaction; false
// when there is none.
func prior[T any](r *review, key ledger.Key) (T, bool) {
	var content T
	composite, err := key.Composite()
	if err != nil {
		return content, false // no document can have this key
	}
	d := r.state.now(r.chaincode, composite)
	if d == nil {
		return content, false
	}
	if err := json.Unmarshal(d.value, &content); err != nil {
		r.fail(fmt.Errorf("%s: %w", key, err))
	}
	return content, true
}

// holds reports whether a collection holds the document of a digest under a key.
func (r *review) holds(collection string, key ledger.Key, digest string) bool {
	composite, err := key.Composite()
	return err == nil && digest != "" && r.state.hashNow(r.chaincode, collection, composite) == digest
}

// countPrivate counts what a transaction writes to collections: of it only the
// hashes can be replayed.
func (v *verifier) countPrivate(set *namespaceSet) {
	for _, c := range set.collections {
		if len(c.hashed.HashedWrites) == 0 {
			continue
		}
		i := slices.IndexFunc(v.summary.Private, func(p Private) bool { return p.Chaincode == set.name && p.Collection == c.name })
		if i < 0 {
			i = len(v.summary.Private)
			v.summary.Private = append(v.summary.Private, Private{Chaincode: set.name, Collection: c.name})
		}
		for _, w := range c.hashed.HashedWrites {
			switch {
			case w.IsPurge:
				v.summary.Private[i].Purged++
			default:
				v.summary.Private[i].Written++
			}
		}
	}
}
