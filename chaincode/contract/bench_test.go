package contract_test

import (
	"testing"

	"github.com/medfed/medfed/chaincode/ledgertest"
)

// BenchmarkRound plays whole rounds on the in-memory Fabric, each transaction in
// a block of its own, and reports how many transactions a second that is.
func BenchmarkRound(b *testing.B) {
	for _, c := range []struct {
		name  string
		peers []string
	}{
		{"endorsers=1", []string{"Hospital1MSP"}},
		{"endorsers=5", ledgertest.DefaultPeers},
	} {
		b.Run(c.name, func(b *testing.B) {
			long := terms()
			long.Rounds = 10_000
			w := start(b, long, ledgertest.WithPeers(c.peers...))
			before := w.ledger.Height()
			number := 0
			for b.Loop() {
				number++
				w.full(number)
			}
			b.ReportMetric(float64(w.ledger.Height()-before)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}
