package ledgertest_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"pgregory.net/rapid"
)

// kvContract is a small contract for tests of the ledger through the contract API.
type kvContract struct{ contractapi.Contract }

func newContract(t rapid.TB) shim.Chaincode {
	t.Helper()
	c := &kvContract{}
	c.Name = "kv"
	cc, err := contractapi.NewChaincode(c)
	if err != nil {
		t.Fatal(err)
	}
	return cc
}

func (*kvContract) Put(ctx contractapi.TransactionContextInterface, key, value string) error {
	if err := ctx.GetStub().PutState(key, []byte(value)); err != nil {
		return err
	}
	return ctx.GetStub().SetEvent("Put", []byte(key))
}

func (*kvContract) Get(ctx contractapi.TransactionContextInterface, key string) (string, error) {
	value, err := ctx.GetStub().GetState(key)
	return string(value), err
}

func (*kvContract) Append(ctx contractapi.TransactionContextInterface, key, value string) error {
	before, err := ctx.GetStub().GetState(key)
	if err != nil {
		return err
	}
	return ctx.GetStub().PutState(key, append(before, value...))
}

func (*kvContract) Fail(_ contractapi.TransactionContextInterface, message string) error {
	return errors.New(message)
}

func (*kvContract) Time(ctx contractapi.TransactionContextInterface) (string, error) {
	ts, err := ctx.GetStub().GetTxTimestamp()
	return ts.AsTime().Format(time.RFC3339), err
}

func (*kvContract) Who(ctx contractapi.TransactionContextInterface) (string, error) {
	id := ctx.GetClientIdentity()
	msp, err := id.GetMSPID()
	if err != nil {
		return "", err
	}
	certificate, err := id.GetX509Certificate()
	if err != nil {
		return "", err
	}
	role, _, err := id.GetAttributeValue(ledgertest.RoleAttribute)
	return fmt.Sprintf("%s/%s/%s", msp, certificate.Subject.CommonName, role), err
}

// stub shortens the type that every function of a raw chaincode takes.
type stub = shim.ChaincodeStubInterface

// raw is a chaincode whose transactions are functions of the stub, named by the
// first argument.
type raw map[string]func(shim.ChaincodeStubInterface) ([]byte, error)

func (raw) Init(shim.ChaincodeStubInterface) *peer.Response { return shim.Success(nil) }

func (r raw) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	name, _ := stub.GetFunctionAndParameters()
	payload, err := r[name](stub)
	if err != nil {
		return shim.Error(err.Error())
	}
	return shim.Success(payload)
}

func open(t rapid.TB, cc shim.Chaincode, options ...ledgertest.Option) *ledgertest.Ledger {
	t.Helper()
	l, err := ledgertest.New(cc, options...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantError(t rapid.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want one with %q", err, text)
	}
}
