package contract

import (
	"reflect"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"
	"github.com/hyperledger/fabric-contract-api-go/v2/metadata"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
)

// Title and Version are the project's in the metadata. Every endorser answers the
// same, so the version is not the build's: it is raised by hand, by the rules of
// semantic versions, when a transaction changes.
const (
	Title   = "medfed"
	Version = "1.0.0"
)

// metadataTransaction is the contract API's own query for the metadata.
const metadataTransaction = contractapi.SystemContractName + ":GetMetadata"

// The metadata in the form that the contract API's own schema fixes. Members that
// begin with x- are medfed's; that schema allows them.
type (
	described struct {
		Info       metadata.InfoMetadata        `json:"info"`
		Contracts  map[string]describedContract `json:"contracts"`
		Components describedComponents          `json:"components"`
	}
	describedContract struct {
		Info         metadata.InfoMetadata  `json:"info"`
		Name         string                 `json:"name"`
		Transactions []describedTransaction `json:"transactions"`
		Default      bool                   `json:"default"` // always false: a transaction is named with its contract
	}
	describedTransaction struct {
		Name        string               `json:"name"`
		Description string               `json:"description"`
		Tag         []string             `json:"tag"` // submit or evaluate, in small letters and in capitals as older clients read it
		Parameters  []describedParameter `json:"parameters,omitempty"`
		Returns     *schema              `json:"returns,omitempty"`
		Caller      string               `json:"x-caller,omitempty"`       // who may send it, in words
		Transient   map[string]*schema   `json:"x-transient,omitempty"`    // by field: JSON objects that go by transient
		AtCustodian bool                 `json:"x-at-custodian,omitempty"` // endorsed or answered by the custodian's peer alone
		Event       *describedEvent      `json:"x-event,omitempty"`
	}
	describedParameter struct {
		Name        string  `json:"name"`
		Description string  `json:"description"`
		Schema      *schema `json:"schema"`
	}
	describedEvent struct {
		Name    string  `json:"name"`
		Payload *schema `json:"payload"`
	}
	describedComponents struct {
		Schemas map[string]*schema `json:"schemas"`
	}
)

// Metadata is the description of all transactions that the chaincode serves as
// org.hyperledger.fabric:GetMetadata, a JSON object. It is made of the Go types of
// the transactions, of Transactions, and of the tables of properties and examples;
// it refuses to be made of any that don't fit together (MF-INTERNAL).
func Metadata() ([]byte, error) {
	s := newSchemas(objects())
	all := described{
		Info:       info(Title, "Federated learning and patients' consent for a consortium of hospitals, without a central party."),
		Contracts:  map[string]describedContract{},
		Components: describedComponents{Schemas: s.made},
	}
	told := examples()
	for _, c := range contracts() {
		one := describedContract{Name: c.GetName(), Info: c.GetInfo(), Transactions: []describedTransaction{}}
		for _, listed := range Transactions() {
			if listed.Contract != one.Name {
				continue
			}
			transaction, err := s.transaction(reflect.TypeOf(c), listed, told)
			if err != nil {
				return nil, err
			}
			one.Transactions = append(one.Transactions, transaction)
		}
		all.Contracts[one.Name] = one
	}
	all.Contracts[contractapi.SystemContractName] = describedContract{
		Name: contractapi.SystemContractName, Info: info("System", "The contract API's own contract."),
		Transactions: []describedTransaction{{
			Name: "GetMetadata", Description: "Gives this description of all transactions. It takes no argument.", Tag: tags(true),
			Returns: &schema{Type: "string"}, Caller: "anyone",
		}},
	}
	s.leftOver(told)
	if len(s.faults) > 0 {
		return nil, codes.Errorf("MF-INTERNAL", "the metadata can't be made: %s; report this", strings.Join(s.faults, ", "))
	}
	return ledger.Marshal(all)
}

// transaction describes one transaction by its method.
func (s *schemas) transaction(contract reflect.Type, listed Transaction, told map[string]example) (describedTransaction, error) {
	name := listed.Contract + ":" + listed.Name
	method, found := contract.MethodByName(listed.Name)
	if !found || method.Type.NumIn() != 3 || method.Type.NumOut() != 2 {
		s.problem("%s is no method with a context and a request that gives a response and an error", name)
		return describedTransaction{}, nil
	}
	request := s.of(method.Type.In(2), false)
	shown, found := told[name]
	if !found {
		s.problem("%s has no example", name)
	}
	var err error
	if request.Example, err = exampleOf(shown.request); err != nil {
		return describedTransaction{}, err
	}
	one := describedTransaction{
		Name: listed.Name, Description: listed.Description, Tag: tags(listed.Evaluate), Caller: listed.Caller, AtCustodian: listed.AtCustodian,
		Parameters: []describedParameter{{"request", "the transaction's one argument, a JSON object", request}},
		Returns:    s.of(method.Type.Out(0), false),
	}
	if !listed.Evaluate {
		one.Event = &describedEvent{name, s.of(eventOfContract(listed.Contract), false)}
	}
	if listed.Transient != "" {
		private := s.of(listed.private, false)
		if private.Example, err = exampleOf(shown.private); err != nil {
			return describedTransaction{}, err
		}
		one.Transient = map[string]*schema{listed.Transient: private}
	}
	return one, nil
}

// leftOver notes what is described or shown and is not there.
func (s *schemas) leftOver(told map[string]example) {
	for _, name := range sortedNames(s.objects) {
		if !s.used[name] {
			s.problem("%s is described and not used", name)
		}
		for _, property := range sortedNames(s.objects[name].properties) {
			if !s.used[name+"."+property] {
				s.problem("%s.%s is described and not used", name, property)
			}
		}
	}
	for _, name := range sortedNames(told) {
		if !isListed(name) {
			s.problem("%s has an example and is no transaction", name)
		}
	}
}

func tags(evaluate bool) []string {
	if evaluate {
		return []string{"evaluate", "EVALUATE"}
	}
	return []string{"submit", "SUBMIT"}
}

// info is what a contract's metadata says of its origin.
func info(title, description string) metadata.InfoMetadata {
	return metadata.InfoMetadata{
		Title:       title,
		Description: description,
		Version:     Version,
		License:     &metadata.LicenseMetadata{Name: "Apache-2.0"},
	}
}

// sortedNames is the keys of a map in order.
func sortedNames[T any](all map[string]T) []string {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
