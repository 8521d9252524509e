package contract_test

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/ledgertest"
)

// Case 8, tried on itself: on a chaincode with a broken rule the random programs
// fail, and the file that they print fails on that chaincode in the same way and
// not on the sound one.
func TestCase08APlantedFaultIsFoundAndPrinted(t *testing.T) {
	endorsers := ledgertest.WithPeers(hospital, "Hospital2MSP", "ResearchCentreMSP")
	sound, err := newChaincode()
	if err != nil {
		t.Fatal(err)
	}
	broken := confusing{sound}
	setFlag(t, "rapid.checks", "1000") // it ends with the first that finds the fault, one in about ten
	setFlag(t, "rapid.nofailfile", "true")
	setFlag(t, "rapid.shrinktime", "2s") // how short it gets depends on the machine
	found := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }() // FailNow
		rapid.Check(found, func(t *rapid.T) { newConsents(t, newClinicOf(t, broken, endorsers)).run() })
	}()
	if !found.failed {
		t.Fatal("a permit for a stranger is not noticed")
	}
	_, text, printed := strings.Cut(found.log.String(), scenarioMark)
	if !printed {
		t.Fatalf("no scenario is printed:\n%s", &found.log)
	}
	scenario, err := ledgertest.ParseScenario([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("shrunk to %d steps", len(scenario.Steps))
	c := newClinicOf(t, broken, endorsers)
	again := scenario.Run(c.ledger, newInvariants(c.ledger).check)
	if again == nil {
		t.Fatalf("run again it fails nowhere:\n%s", text)
	}
	_, what, _ := strings.Cut(strings.TrimPrefix(again.Error(), fmt.Sprintf("scenario %q, step ", scenario.Name)), ": ")
	what, _, _ = strings.Cut(what, "{") // transaction IDs follow, which differ
	if !strings.Contains(found.log.String(), what) {
		t.Errorf("run again it comes to %q:\n%s", what, &found.log)
	}
	c = newClinicOf(t, sound, endorsers)
	if err := scenario.Run(c.ledger, newInvariants(c.ledger).check); err != nil && strings.Contains(err.Error(), what) {
		t.Errorf("on the sound chaincode it comes to %v:\n%s", err, text)
	}
}

// confusing is the chaincode but for one rule: it takes the foreign lab for the
// insurer.
type confusing struct{ shim.Chaincode }

func (c confusing) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	return c.Chaincode.Invoke(confused{stub})
}

type confused struct{ shim.ChaincodeStubInterface }

func (c confused) GetState(key string) ([]byte, error) {
	value, err := c.ChaincodeStubInterface.GetState(key)
	if creator, _ := c.GetCreator(); bytes.Contains(creator, []byte("ForeignLabMSP")) && strings.HasPrefix(key, "\x00consent\x00") {
		value = bytes.ReplaceAll(value, []byte(`"grantee":"InsurerMSP/`), []byte(`"grantee":"ForeignLabMSP/`))
	}
	return value, err
}

// recorder is a test that may fail.
type recorder struct {
	rapid.TB
	failed bool
	log    strings.Builder
}

func (r *recorder) Logf(format string, args ...any) { fmt.Fprintf(&r.log, format+"\n", args...) }
func (r *recorder) Log(args ...any)                 { fmt.Fprintln(&r.log, args...) }
func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.failed = true
}
func (r *recorder) Failed() bool { return r.failed }
func (r *recorder) FailNow()     { panic("failed") }

// setFlag sets one of rapid's flags for a test.
func setFlag(t *testing.T, name, value string) {
	t.Helper()
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, before) })
}
