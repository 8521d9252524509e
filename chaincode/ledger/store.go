package ledger

import (
	"encoding/json"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/medfed/medfed/chaincode/codes"
)

// MaxPage is the most documents one page of a list may have.
const MaxPage = 1000

// Marshal gives a document's stored form: JSON with the fields in the order of
// their type, so every endorser writes the same bytes.
func Marshal(document any) ([]byte, error) {
	bytes, err := json.Marshal(document)
	if err != nil {
		return nil, codes.Errorf("MF-INTERNAL", "a %T can't be written as JSON; report this", document)
	}
	return bytes, nil
}

// Reader reads the stored form of documents: a transaction's Context from the
// peer's ledger, an audit from the one it has replayed.
type Reader interface {
	// Read gives the document of a key, nil where there is none.
	Read(key Key) ([]byte, error)
	// ReadAll gives all documents under a prefix, in key order.
	ReadAll(prefix Prefix) ([][]byte, error)
	// ReadHash gives the SHA-256 of the document of a key in a collection, 64
	// hexadecimal digits, or "" where there is none.
	ReadHash(collection string, key Key) (string, error)
}

// Read gives the committed document of a key: a transaction never sees its own
// writes.
func (ctx *Context) Read(key Key) ([]byte, error) {
	composed, err := key.compose()
	if err != nil {
		return nil, err
	}
	bytes, err := ctx.GetStub().GetState(composed)
	if err != nil {
		return nil, codes.Errorf("MF-LEDGER-READ", "the peer did not read %s; try again", key)
	}
	return bytes, nil
}

// Get reads the document of a key. The second result says whether there is one.
func Get[T any](r Reader, key Key) (T, bool, error) {
	var document T
	bytes, err := r.Read(key)
	if err != nil || len(bytes) == 0 {
		return document, false, err
	}
	err = unmarshal(key.String(), bytes, &document)
	return document, err == nil, err
}

// Exists reports whether a key has a document.
func Exists(ctx *Context, key Key) (bool, error) {
	_, found, err := Get[json.RawMessage](ctx, key)
	return found, err
}

// Put writes the document of a key.
func Put(ctx *Context, key Key, document any) error {
	composed, err := key.compose()
	if err != nil {
		return err
	}
	bytes, err := Marshal(document)
	if err != nil {
		return err
	}
	if err := ctx.GetStub().PutState(composed, bytes); err != nil {
		return codes.Errorf("MF-LEDGER-WRITE", "the peer did not take %s; try again", key)
	}
	return nil
}

// ReadAll gives all documents under a prefix. In a submitted transaction the whole
// range is checked at commit: a document that appears, changes or goes in the
// meantime makes a phantom conflict.
func (ctx *Context) ReadAll(prefix Prefix) ([][]byte, error) {
	if _, err := prefix.compose(); err != nil {
		return nil, err
	}
	results, err := ctx.GetStub().GetStateByPartialCompositeKey(prefix.object, prefix.parts)
	if err != nil {
		return nil, codes.Errorf("MF-LEDGER-READ", "the peer did not list %s; try again", prefix)
	}
	return drain(prefix, results)
}

// List reads all documents under a prefix, in key order.
func List[T any](r Reader, prefix Prefix) ([]T, error) {
	stored, err := r.ReadAll(prefix)
	if err != nil {
		return nil, err
	}
	return unmarshalAll[T](prefix, stored)
}

// drain reads all that a query found.
func drain(prefix Prefix, results shim.StateQueryIteratorInterface) ([][]byte, error) {
	defer results.Close() //nolint:errcheck // nothing can be done about it
	var stored [][]byte
	for results.HasNext() {
		item, err := results.Next()
		if err != nil {
			return nil, codes.Errorf("MF-LEDGER-READ", "the peer did not list %s; try again", prefix)
		}
		stored = append(stored, item.GetValue())
	}
	return stored, nil
}

// unmarshalAll reads stored documents. It never returns a nil slice.
func unmarshalAll[T any](prefix Prefix, stored [][]byte) ([]T, error) {
	documents := []T{}
	for _, bytes := range stored {
		var document T
		if err := unmarshal(prefix.String(), bytes, &document); err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return documents, nil
}

// Change is one committed value of a key. The block is found from the transaction
// by the peer's own query, qscc:GetBlockByTxID.
type Change struct {
	TxID      string `json:"tx_id"`
	Timestamp int64  `json:"timestamp"` // Unix seconds, the client's claim within the peers' time window
	Deleted   bool   `json:"deleted"`
	By        string `json:"by"`    // who made the change, as the document says; "" where only the transaction does
	Value     string `json:"value"` // the document as stored
}

// HistoryRequest names a key by its object and parts, as the table of keys writes
// it; numbers without padding.
type HistoryRequest struct {
	Object string   `json:"object"`
	Parts  []string `json:"parts"`
}

// History is the committed values of a key, oldest first.
type History struct {
	Key     string   `json:"key"`
	Entries []Change `json:"entries"`
}

// Changes gives every committed value of a key, oldest first. It is for queries:
// Fabric does not check history at commit.
func Changes(ctx *Context, key Key) ([]Change, error) {
	composed, err := key.compose()
	if err != nil {
		return nil, err
	}
	results, err := ctx.GetStub().GetHistoryForKey(composed)
	if err != nil {
		return nil, codes.Errorf("MF-LEDGER-READ", "the peer did not read the history of %s; see that its history database is on", key)
	}
	defer results.Close() //nolint:errcheck // nothing can be done about it
	changes := []Change{}
	for results.HasNext() {
		item, err := results.Next()
		if err != nil {
			return nil, codes.Errorf("MF-LEDGER-READ", "the peer did not read the history of %s; try again", key)
		}
		changes = append(changes, Change{
			TxID:      item.GetTxId(),
			Timestamp: item.GetTimestamp().GetSeconds(),
			Deleted:   item.GetIsDelete(),
			By:        authorOf(key.object, string(item.GetValue())),
			Value:     string(item.GetValue()),
		})
	}
	for i, j := 0, len(changes)-1; i < j; i, j = i+1, j-1 { // Fabric gives the newest first
		changes[i], changes[j] = changes[j], changes[i]
	}
	return changes, nil
}

// unmarshal reads a stored document.
func unmarshal(name string, bytes []byte, document any) error {
	if err := json.Unmarshal(bytes, document); err != nil {
		return codes.Errorf("MF-LEDGER-CORRUPT", "%s holds no %T; report this", name, document)
	}
	return nil
}
