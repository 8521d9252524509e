package ledgertest_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// BenchmarkSubmit is a transaction through the real contract API, endorsed,
// ordered alone, validated and committed. Run it with -cpu 1.
func BenchmarkSubmit(b *testing.B) {
	for _, endorsers := range []int{1, 3, 5} {
		b.Run(fmt.Sprintf("endorsers=%d", endorsers), func(b *testing.B) {
			l := open(b, newContract(b), ledgertest.WithPeers(ledgertest.DefaultPeers[:endorsers]...))
			alice := l.Identity("Hospital1MSP", "alice", "trainer")
			rate := ratePerCore(b)
			for i := 0; b.Loop(); i++ {
				if _, err := l.Submit(alice, "kv:Put", fmt.Sprintf("key%d", i), "value"); err != nil {
					b.Fatal(err)
				}
			}
			rate()
		})
	}
}

// ratePerCore reports transactions a second of processor time, user and system,
// garbage collection included: what one core does when nothing else has it.
func ratePerCore(b *testing.B) func() {
	start := processorTime(b)
	return func() {
		b.ReportMetric(float64(b.N)/(processorTime(b)-start).Seconds(), "tx/core-s")
	}
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkSubmitRaw leaves the contract API out.
func BenchmarkSubmitRaw(b *testing.B) {
	put := func(stub shim.ChaincodeStubInterface) ([]byte, error) {
		args := stub.GetStringArgs()
		return nil, stub.PutState(args[1], []byte(args[2]))
	}
	l := open(b, raw{"put": put}, ledgertest.WithPeers(ledgertest.DefaultPeers[:3]...))
	alice := l.Identity("Hospital1MSP", "alice", "trainer")
	rate := ratePerCore(b)
	for i := 0; b.Loop(); i++ {
		if _, err := l.Submit(alice, "put", fmt.Sprintf("key%d", i), "value"); err != nil {
			b.Fatal(err)
		}
	}
	rate()
}
