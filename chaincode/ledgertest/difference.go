package ledgertest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"google.golang.org/protobuf/proto"
)

// difference tells in one line where two endorsers disagree.
func difference(a, b *simulated) string {
	var parts []string
	if !proto.Equal(a.response, b.response) {
		parts = append(parts, fmt.Sprintf("response: %q against %q", a.response.Payload, b.response.Payload))
	}
	if !proto.Equal(a.event, b.event) {
		parts = append(parts, fmt.Sprintf("event: %v against %v", a.event, b.event))
	}
	parts = append(parts, differentKeys("read", a.set.reads, b.set.reads)...)
	parts = append(parts, differentWrites(a.set.writes, b.set.writes)...)
	parts = append(parts, differentKeys("validation parameter", a.set.parameters, b.set.parameters)...)
	if len(parts) == 0 {
		parts = append(parts, "range queries or private data")
	}
	return strings.Join(parts, ", ")
}

func differentKeys[M proto.Message](what string, a, b map[string]M) []string {
	var parts []string
	for _, key := range sortedKeys(a, b) {
		va, ina := a[key]
		vb, inb := b[key]
		if ina != inb || !proto.Equal(va, vb) {
			parts = append(parts, fmt.Sprintf("%s of %q", what, key))
		}
	}
	return parts
}

func differentWrites(a, b map[string]*kvrwset.KVWrite) []string {
	var parts []string
	for _, key := range sortedKeys(a, b) {
		va, vb := a[key].GetValue(), b[key].GetValue()
		if (a[key] == nil) != (b[key] == nil) || !bytes.Equal(va, vb) {
			parts = append(parts, fmt.Sprintf("write of %q: %q against %q", key, va, vb))
		}
	}
	return parts
}
