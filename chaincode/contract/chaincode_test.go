package contract_test

import (
	"strings"
	"testing"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

// broken is a peer that answers nothing: whatever is asked of it panics.
type broken struct {
	shim.ChaincodeStubInterface
	name string
}

func (b broken) GetFunctionAndParameters() (string, []string) {
	return b.name, []string{`{"task":"pneumonia"}`}
}

func TestFaultsAreRefusedWithACode(t *testing.T) {
	chaincode, err := newChaincode()
	if err != nil {
		t.Fatal(err)
	}
	response := chaincode.Invoke(broken{name: "task:GetTask"})
	if response.GetStatus() != shim.ERROR || !strings.HasPrefix(response.GetMessage(), "MF-INTERNAL: ") {
		t.Errorf("%v", response)
	}
	if response := chaincode.Init(broken{}); response.GetStatus() != shim.OK {
		t.Errorf("Init: %v", response)
	}
}
