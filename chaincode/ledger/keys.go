// Package ledger is the thin layer between the contracts and the world state:
// every key in one table (keys.go), typed reads and writes (store.go), who calls
// and when (context.go), strict arguments (decode.go) and the coded errors that
// survive the gateway (errors.go).
package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// Every key of the world state. Each is a Fabric composite key: the object's
// name and then its parts, so that ("a","bc") and ("ab","c") stay apart. One
// key per fact and writer, so that concurrent submits never conflict; numbers are
// padded so that key order is number order.

// object is a row of the table of keys: one kind of document. The rows of tasks
// are in keys_tasks.go, those of records, consents and accesses in keys_records.go.
type object struct {
	name     string // the first part of the key
	parts    string // the other parts, apart by "/"; those of counted ends with "#", one of newestFirst with "-"
	document string // type of the document
	writer   string // whose transactions write it
	author   string // the document's field that says who wrote it, "" where only the transaction's block does
}

// objectOf finds a row of the table by its name.
func objectOf(name string) (row object, isTask, known bool) {
	for _, row := range taskObjects {
		if row.name == name {
			return row, true, true
		}
	}
	for _, row := range recordObjects {
		if row.name == name {
			return row, false, true
		}
	}
	return object{}, false, false
}

// OfRecords reports whether the documents of an object are those of records,
// consents and accesses, which package record and package consent decide on.
func OfRecords(name string) bool {
	_, isTask, known := objectOf(name)
	return known && !isTask
}

// authorOf finds who wrote a document in the document itself, "" where it does not
// say so.
func authorOf(name, document string) string {
	row, _, _ := objectOf(name)
	fields := map[string]json.RawMessage{}
	var author string
	if json.Unmarshal([]byte(document), &fields) != nil || json.Unmarshal(fields[row.author], &author) != nil {
		return ""
	}
	return author
}

// Key names one document of the world state.
type Key struct{ path }

// Prefix names all documents whose keys begin with the same parts.
type Prefix struct{ path }

// path is an object's name and its parts, in order.
type path struct {
	object string
	parts  []string
}

func key(object string, parts ...string) Key { return Key{path{object, parts}} }

func prefix(object string, parts ...string) Prefix { return Prefix{path{object, parts}} }

// number pads a counted part so that key order is number order.
func number(n int) string { return fmt.Sprintf("%08d", n) }

// newestFirst pads a time so that key order is from the newest to the oldest.
func newestFirst(at int64) string {
	const latest = 1<<63 - 1
	return fmt.Sprintf("%019d", latest-max(at, 0))
}

// compose makes the composite key, after checking every part.
func (p path) compose() (string, error) {
	for _, part := range p.parts {
		if err := form.CheckIdentifier("a part of the key "+p.object, part); err != nil {
			return "", err
		}
	}
	composed, err := shim.CreateCompositeKey(p.object, p.parts)
	if err != nil {
		return "", codes.Errorf("MF-IDENTIFIER-CHARACTER", "a part of the key %s holds a character that Fabric refuses; use letters, digits and hyphens", p.object)
	}
	return composed, nil
}

// Composite gives the key, or the prefix, as Fabric stores it, for whoever reads a
// ledger outside of a transaction. It refuses parts that can't be in a key.
func (p path) Composite() (string, error) { return p.compose() }

// String shows the key for messages, for example "update/covid/00000003/Hospital1MSP/node1".
func (p path) String() string {
	text := p.object
	for _, part := range p.parts {
		text += "/" + part
	}
	return text
}

// ParseKey makes the key of any document of the world state from the name of its
// object and its parts, as the table of keys writes them, numbers and times
// without padding.
func ParseKey(name string, parts []string) (Key, error) {
	row, _, known := objectOf(name)
	if !known {
		return Key{}, codes.Errorf("MF-KEY-UNKNOWN", "there are no keys of that object; use one of the table of keys, for instance consent")
	}
	kinds := strings.Split(row.parts, "/")
	if len(parts) != len(kinds) {
		return Key{}, codes.Errorf("MF-KEY-PARTS", "a key of %s has %d parts and %d were sent; send what the table of keys shows", name, len(kinds), len(parts))
	}
	padded := make([]string, len(parts))
	for i, kind := range kinds {
		var err error
		if padded[i], err = pad(kind, parts[i]); err != nil {
			return Key{}, codes.Errorf("MF-KEY-PARTS", "part %d of a key of %s is a number from 0; send digits", i+1, name)
		}
	}
	for _, part := range padded {
		if err := form.CheckIdentifier("a part of the key", part); err != nil {
			return Key{}, err
		}
	}
	return key(name, padded...), nil
}

// pad makes a part of a key as it is stored.
func pad(kind, part string) (string, error) {
	counted, timed := strings.HasSuffix(kind, "#"), strings.HasSuffix(kind, "-")
	if !counted && !timed {
		return part, nil
	}
	n, err := strconv.ParseUint(part, 10, 63)
	if err != nil {
		return "", err
	}
	if timed {
		return newestFirst(int64(n)), nil
	}
	return number(int(n)), nil
}
