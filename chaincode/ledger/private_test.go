package ledger_test

import (
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// A write that a peer does not take is the caller's fault where the collection is
// there, and not where it is missing.
func TestRefusedPrivateWritesTellTheirCause(t *testing.T) {
	s := &script{}
	l, err := ledgertest.New(s, ledgertest.WithPeers("AMSP"), ledgertest.WithCollections(ledgertest.Collection{
		Name: "a's", Members: ledgertest.Members("AMSP"), MemberOnlyRead: true, MemberOnlyWrite: true,
	}))
	if err != nil {
		t.Fatal(err)
	}
	put := func(ctx *ledger.Context, collection string) error {
		return ledger.PutPrivate(ctx, collection, ledger.TaskKey("a"), note{"x"})
	}
	purge := func(ctx *ledger.Context, collection string) error {
		return ledger.Purge(ctx, collection, ledger.TaskKey("a"))
	}
	for _, c := range []struct {
		msp, collection string
		want            codes.Code
	}{
		{"AMSP", "a's", ""},
		{"AMSP", "b's", "MF-PRIVATE-COLLECTION"},
		{"BMSP", "a's", "MF-PRIVATE-WRITE"},
		{"BMSP", "b's", "MF-PRIVATE-COLLECTION"},
	} {
		for name, change := range map[string]func(*ledger.Context, string) error{"put": put, "purge": purge} {
			b := &bench{TB: t, script: s, ledger: l, caller: l.Identity(c.msp, "ann", "custodian")}
			next := func(ctx *ledger.Context) error { return change(ctx, c.collection) }
			t.Run(name+" of "+c.msp+" in "+c.collection, func(t *testing.T) {
				b.TB = t
				if c.want == "" {
					b.submit(next)
				} else {
					b.refused(c.want, next)
				}
			})
		}
	}
}
