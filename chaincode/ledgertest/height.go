package ledgertest

import (
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
)

// height is the place of a transaction in the chain. It is the version of every
// value that the transaction wrote.
type height struct {
	block, tx uint64
}

// String writes a height as a peer's messages do.
func (h *height) String() string {
	if h == nil {
		return "<nil>"
	}
	return fmt.Sprintf("{BlockNum: %d, TxNum: %d}", h.block, h.tx)
}

func (h *height) version() *kvrwset.Version {
	if h == nil {
		return nil
	}
	return &kvrwset.Version{BlockNum: h.block, TxNum: h.tx}
}

// sameVersion reports whether a version that was read is still the one committed;
// nil stands for a key that does not exist.
func sameVersion(committed *height, read *kvrwset.Version) bool {
	if committed == nil || read == nil {
		return committed == nil && read == nil
	}
	return committed.block == read.BlockNum && committed.tx == read.TxNum
}

func sameHeight(a, b *height) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
