// Package contract holds the contracts, one thin file each: who may call, what
// is read, what the pure rules (packages fl, record and consent) say to it, what is written, and one
// event.
package contract

import (
	"fmt"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
)

// Chaincode is all contracts behind the contract API. It sees to it that every
// refusal carries a code, the contract API's own ones too.
type Chaincode struct {
	contracts *contractapi.ContractChaincode
	metadata  []byte
}

// contracts are all contracts of the chaincode.
func contracts() []contractapi.ContractInterface {
	return []contractapi.ContractInterface{
		NewTaskContract(), NewRoundContract(),
		NewRecordContract(), NewConsentContract(), NewAccessContract(), NewAuditContract(), NewDirectoryContract(),
	}
}

// New makes the chaincode.
func New() (*Chaincode, error) {
	served, err := contractapi.NewChaincode(contracts()...)
	if err != nil {
		return nil, fmt.Errorf("the contracts don't fit the contract API: %w", err)
	}
	served.TransactionSerializer = strictJSON{}
	served.DefaultContract = "" // a transaction is named with its contract
	described, err := Metadata()
	if err != nil {
		return nil, err
	}
	return &Chaincode{contracts: served, metadata: described}, nil
}

// Init does nothing: the ledger starts empty.
func (c *Chaincode) Init(shim.ChaincodeStubInterface) *peer.Response { return shim.Success(nil) }

// Invoke runs one transaction.
func (c *Chaincode) Invoke(stub shim.ChaincodeStubInterface) (response *peer.Response) {
	defer func() {
		if recover() != nil {
			response = refuse("MF-INTERNAL", "the transaction stopped at a fault of the chaincode; report this")
		}
	}()
	name, arguments := stub.GetFunctionAndParameters()
	if name == metadataTransaction {
		return shim.Success(c.metadata)
	}
	if !isListed(name) {
		return refuse("MF-TRANSACTION-UNKNOWN", "there is no transaction of that name; call one of those in the metadata, for instance task:GetTask")
	}
	if len(arguments) != 1 {
		return refuse("MF-ARGUMENT-COUNT", "%s was sent %d arguments; send one JSON object", name, len(arguments))
	}
	return coded(c.contracts.Invoke(stub))
}

// coded sees to it that a refusal starts with its code.
func coded(response *peer.Response) *peer.Response {
	if response.GetStatus() < shim.ERRORTHRESHOLD {
		return response
	}
	if refusal := codes.Parse(response.GetMessage()); refusal != nil { // the contract API hands on an error's text alone
		return shim.Error(refusal.Error())
	}
	return refuse("MF-INTERNAL", "the contract API refused the transaction; report this")
}

func refuse(code codes.Code, format string, args ...any) *peer.Response {
	return shim.Error(codes.Errorf(code, format, args...).Error())
}

func isListed(name string) bool {
	for _, transaction := range Transactions() {
		if name == transaction.Contract+":"+transaction.Name {
			return true
		}
	}
	return false
}

// newContract is a contract under its name, with what the metadata say of it. Every
// transaction of it gets a ledger.Context.
func newContract(name, title, about string) contractapi.Contract {
	return contractapi.Contract{Name: name, Info: info(title, about), TransactionContextHandler: new(ledger.Context)}
}
