// Package contract holds the contracts, one thin file each: who may call, what
// is read, what the pure rules (packages fl and consent) say to it, what is written, and one
// event.
package contract

import (
	"encoding/json"
	"fmt"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"
	"github.com/hyperledger/fabric-contract-api-go/v2/metadata"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
)

// metadataTransaction is the contract API's own query, answered with the
// descriptions that the API has no place for.
const metadataTransaction = contractapi.SystemContractName + ":GetMetadata"

// Chaincode is all contracts behind the contract API. It sees to it that every
// refusal carries a code, the contract API's own ones too.
type Chaincode struct {
	contracts *contractapi.ContractChaincode
}

// New makes the chaincode.
func New() (*Chaincode, error) {
	contracts, err := contractapi.NewChaincode(
		NewTaskContract(), NewRoundContract(),
		NewRecordContract(), NewConsentContract(), NewAccessContract(), NewAuditContract(), NewDirectoryContract(),
	)
	if err != nil {
		return nil, fmt.Errorf("the contracts don't fit the contract API: %w", err)
	}
	contracts.TransactionSerializer = strictJSON{}
	return &Chaincode{contracts: contracts}, nil
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
		return describe(c.contracts.Invoke(stub))
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

// The metadata as the contract API serves it, with a place for descriptions.
type (
	describedChaincode struct {
		Info       json.RawMessage              `json:"info,omitempty"`
		Contracts  map[string]describedContract `json:"contracts"`
		Components json.RawMessage              `json:"components"`
	}
	describedContract struct {
		Info         json.RawMessage        `json:"info,omitempty"`
		Name         string                 `json:"name"`
		Transactions []describedTransaction `json:"transactions"`
		Default      bool                   `json:"default"`
	}
	describedTransaction struct {
		Name        string               `json:"name"`
		Description string               `json:"description,omitempty"`
		Tag         []string             `json:"tag,omitempty"`
		Parameters  []describedParameter `json:"parameters,omitempty"`
		Returns     json.RawMessage      `json:"returns,omitempty"`
	}
	describedParameter struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Schema      json.RawMessage `json:"schema"`
	}
)

// describe adds the descriptions of Transactions to the contract API's metadata.
func describe(response *peer.Response) *peer.Response {
	if response.GetStatus() >= shim.ERRORTHRESHOLD {
		return coded(response)
	}
	var described describedChaincode
	if err := json.Unmarshal(response.GetPayload(), &described); err != nil {
		return refuse("MF-INTERNAL", "the metadata can't be read; report this")
	}
	for _, listed := range Transactions() {
		transactions := described.Contracts[listed.Contract].Transactions
		for i := range transactions {
			if transactions[i].Name != listed.Name {
				continue
			}
			transactions[i].Description = listed.Description
			for j := range transactions[i].Parameters {
				transactions[i].Parameters[j].Name = "request"
				transactions[i].Parameters[j].Description = "the transaction's one argument, a JSON object"
			}
		}
	}
	bytes, err := ledger.Marshal(described)
	if err != nil {
		return shim.Error(err.Error())
	}
	return shim.Success(bytes)
}

// info is what every contract's metadata says of its origin.
func info(title, description string) metadata.InfoMetadata {
	return metadata.InfoMetadata{
		Title:       title,
		Description: description,
		Version:     "1",
		License:     &metadata.LicenseMetadata{Name: "Apache-2.0"},
	}
}
