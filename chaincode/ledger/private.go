package ledger

import (
	"encoding/hex"

	"github.com/medfed/medfed/chaincode/codes"
)

// MaxTransient is the most bytes of one transient field.
const MaxTransient = 16 << 10

// Transient reads the one private field that a transaction was sent, a JSON
// object, into the struct that into points to. It is as strict as Decode, refuses
// any other field, and says nothing of what it read: refusals are logged.
func Transient(ctx *Context, name string, into any) error {
	fields, err := ctx.GetStub().GetTransient()
	if err != nil {
		return codes.Errorf("MF-TRANSIENT-MISSING", "the transient data can't be read; send the field %s", name)
	}
	value, found := fields[name]
	switch {
	case !found:
		return codes.Errorf("MF-TRANSIENT-MISSING", "the transient field %s is missing; send what is private by transient only", name)
	case len(fields) != 1:
		return codes.Errorf("MF-TRANSIENT-UNKNOWN", "there are %d transient fields; send %s alone", len(fields), name)
	case len(value) > MaxTransient:
		return codes.Errorf("MF-TRANSIENT-TOO-LARGE", "the transient field %s has %d bytes; send at most %d", name, len(value), MaxTransient)
	}
	if err := Decode(string(value), into); err != nil {
		return codes.Errorf("MF-TRANSIENT-INVALID", "the transient field %s is not the JSON object that the transaction describes (%s); send exactly its fields", name, kindOf(codes.Of(err)))
	}
	return nil
}

// kindOf says what is wrong with private input without showing any of it.
func kindOf(code codes.Code) string {
	switch code {
	case "MF-ARGUMENT-UNKNOWN-FIELD":
		return "unknown field"
	case "MF-ARGUMENT-MISSING-FIELD":
		return "missing field"
	case "MF-ARGUMENT-DUPLICATE-FIELD":
		return "field sent twice"
	case "MF-ARGUMENT-TYPE":
		return "field of another type"
	case "MF-ARGUMENT-TOO-DEEP":
		return "nested too deep"
	default:
		return "malformed"
	}
}

// NoTransient refuses a transaction that was sent private data it has no use for:
// it would go to peers that are not to see it.
func NoTransient(ctx *Context) error {
	fields, err := ctx.GetStub().GetTransient()
	if err != nil || len(fields) > 0 {
		return codes.Errorf("MF-TRANSIENT-UNKNOWN", "the transaction takes no transient data; send none")
	}
	return nil
}

// GetPrivate reads the document of a key in a collection. The second result says
// whether there is one. Only a peer of a member of the collection has it.
func GetPrivate[T any](ctx *Context, collection string, key Key) (T, bool, error) {
	var document T
	composed, err := key.compose()
	if err != nil {
		return document, false, err
	}
	bytes, err := ctx.GetStub().GetPrivateData(collection, composed)
	if err != nil {
		return document, false, codes.Errorf("MF-PRIVATE-READ", "this peer does not give %s of %s; ask the custodian's peer, as a client that may read there; if this is that peer, it has lost it with its disk, and only an earlier copy of its folder restores it", key, collection)
	}
	if len(bytes) == 0 {
		return document, false, nil
	}
	err = unmarshal(key.String(), bytes, &document)
	return document, err == nil, err
}

// PutPrivate writes the document of a key in a collection.
func PutPrivate(ctx *Context, collection string, key Key, document any) error {
	composed, err := key.compose()
	if err != nil {
		return err
	}
	bytes, err := Marshal(document)
	if err != nil {
		return err
	}
	if err := ctx.GetStub().PutPrivateData(collection, composed, bytes); err != nil {
		return writeRefused(ctx, collection, key)
	}
	return nil
}

// writeRefused says why a peer takes no write: because there is no such
// collection, which has no hashes either, or because of who the caller is.
func writeRefused(ctx *Context, collection string, key Key) error {
	if _, err := ctx.ReadHash(collection, key); err != nil {
		return err
	}
	return codes.Errorf("MF-PRIVATE-WRITE", "the peer takes no change of %s in %s from this caller; only clients of the custodian's organisation write there", key, collection)
}

// ReadHash gives the SHA-256 of the document of a key in a collection, 64
// hexadecimal digits, or "" when there is none. Every peer knows it.
func (ctx *Context) ReadHash(collection string, key Key) (string, error) {
	composed, err := key.compose()
	if err != nil {
		return "", err
	}
	sum, err := ctx.GetStub().GetPrivateDataHash(collection, composed)
	if err != nil {
		return "", codes.Errorf("MF-PRIVATE-COLLECTION", "there is no collection %s for %s; the custodian must be a hospital of the consortium", collection, key)
	}
	return hex.EncodeToString(sum), nil
}

// Purge removes the document of a key from a collection, and from the blocks'
// private data of all peers that hold it.
func Purge(ctx *Context, collection string, key Key) error {
	composed, err := key.compose()
	if err != nil {
		return err
	}
	if err := ctx.GetStub().PurgePrivateData(collection, composed); err != nil {
		return writeRefused(ctx, collection, key)
	}
	return nil
}
