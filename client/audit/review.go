package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
)

// Every valid transaction on records, consents and accesses is decided again, by
// the functions of packages record and consent that decided it on the peers, from what everyone may know: who signed it, its
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
	function  string // "" when another chaincode's transaction writes here
	argument  string
	call      consortium.Call
	written   map[string]*kvrwset.KVWrite // what is decided again, by key
	hashed    []*collectionSet            // what is written to collections
	found     []Difference
}

// review decides a transaction again, before its writes are taken.
func (v *verifier) review(at place, tx *transaction) error {
	for _, set := range reviewed(tx) {
		v.countPrivate(set)
		r, err := v.newReview(at, tx, set)
		if err != nil {
			return fault("MF-AUDIT-STATE", at, "%w", err)
		}
		if err := r.decide(); err != nil {
			return fault("MF-AUDIT-STATE", at, "%w", err)
		}
		v.summary.Differences = append(v.summary.Differences, r.found...)
	}
	return nil
}

// reviewed are the sets that a transaction is decided by: of every chaincode that it
// writes to, and of the one it calls, even if it has read and written nothing there.
func reviewed(tx *transaction) []*namespaceSet {
	own := false
	var sets []*namespaceSet
	for _, set := range tx.sets {
		if set.name != lifecycleNamespace {
			sets = append(sets, set)
			own = own || set.name == tx.chaincode
		}
	}
	if !own && tx.chaincode != lifecycleNamespace {
		sets = append(sets, &namespaceSet{name: tx.chaincode, public: &kvrwset.KVRWSet{}})
	}
	return sets
}

func (v *verifier) newReview(at place, tx *transaction, set *namespaceSet) (*review, error) {
	r := &review{state: v.state, chaincode: set.name, at: at, written: map[string]*kvrwset.KVWrite{}, hashed: set.collections}
	for _, w := range set.public.Writes {
		if key := splitKey(w.Key); len(key) > 1 && ledger.OfRecords(key[0]) {
			r.written[w.Key] = w
		}
	}
	if set.name == tx.chaincode && len(tx.arguments) == 2 {
		r.function, r.argument = string(tx.arguments[0]), string(tx.arguments[1])
	}
	id, err := v.channel.identify(tx.creator.Creator)
	if err != nil {
		return nil, err
	}
	caller, err := callerOf(id)
	r.call = consortium.Call{Caller: caller, At: tx.channel.GetTimestamp().GetSeconds(), Window: ledger.TimeWindow, TxID: tx.channel.GetTxId()}
	return r, err
}

// callerOf is who signed a transaction, as the chaincode knows them.
func callerOf(id *identity) (consortium.Caller, error) {
	caller := consortium.Caller{MSP: id.org.id, Name: id.certificate.Subject.CommonName}
	caller.ID = caller.MSP + "/" + caller.Name
	attributes, err := attrmgr.New().GetAttributesFromCert(id.certificate)
	if err != nil {
		return caller, fmt.Errorf("the attributes of its creator can't be read: %w", err)
	}
	role, _, err := attributes.Value(consortium.RoleAttribute)
	caller.Role = consortium.Role(role)
	return caller, err
}

// decide compares the transaction's writes with those that follow from the rules.
func (r *review) decide() error {
	follows, refusal := r.follows()
	for _, w := range follows {
		if err := r.compare(w); err != nil {
			return err
		}
	}
	because := "nothing"
	if refusal != nil {
		because = "refused, " + string(codes.Of(refusal))
	}
	for _, key := range slices.Sorted(maps.Keys(r.written)) {
		parts, w := splitKey(key), r.written[key]
		if w.IsDelete {
			r.differ(parts, "document", "deleted", "kept for ever")
		} else {
			r.differ(parts, "document", string(w.Value), because)
		}
	}
	if refusal != nil {
		r.differ([]string{r.function}, "transaction", "valid", because)
	}
	return nil
}

// compare checks one write that must be there and takes it off the list.
func (r *review) compare(follows ledger.Write) error {
	key, err := follows.Key.Composite()
	if err != nil {
		return err
	}
	want, err := ledger.Marshal(follows.Document)
	if err != nil {
		return err
	}
	parts := splitKey(key)
	if follows.Collection != "" {
		if got, hash := r.hash(follows.Collection, key), sha256.Sum256(want); !bytes.Equal(got, hash[:]) {
			r.differ(append([]string{follows.Collection}, parts...), "hash", hex.EncodeToString(got), hex.EncodeToString(hash[:]))
		}
		return nil
	}
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
	return nil
}

// hash is what the transaction writes to a collection under a key, nil for nothing.
func (r *review) hash(collection, key string) []byte {
	sum := sha256.Sum256([]byte(key))
	for _, c := range r.hashed {
		for _, w := range c.hashed.HashedWrites {
			if c.name == collection && bytes.Equal(w.KeyHash, sum[:]) {
				return w.ValueHash
			}
		}
	}
	return nil
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

// Read reads a document of the state as it is before the transaction.
func (r *review) Read(key ledger.Key) ([]byte, error) {
	composite, err := key.Composite()
	if err != nil {
		return nil, err
	}
	if d := r.state.now(r.chaincode, composite); d != nil {
		return d.value, nil
	}
	return nil, nil
}

// ReadAll reads the documents of the state under a prefix.
func (r *review) ReadAll(prefix ledger.Prefix) ([][]byte, error) {
	composite, err := prefix.Composite()
	if err != nil {
		return nil, err
	}
	var all [][]byte
	r.state.underNow(r.chaincode, composite, func(d *document) { all = append(all, d.value) })
	return all, nil
}

// ReadHash is the hash of a private document.
func (r *review) ReadHash(collection string, key ledger.Key) (string, error) {
	composite, err := key.Composite()
	if err != nil {
		return "", err
	}
	return r.state.hashNow(r.chaincode, collection, composite), nil
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
