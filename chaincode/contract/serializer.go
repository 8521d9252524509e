package contract

import (
	"reflect"

	"github.com/hyperledger/fabric-contract-api-go/v2/metadata"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
)

// strictJSON reads and writes the arguments and results of transactions. It
// replaces the contract API's own serializer, which lets unknown fields, null
// and duplicates through and refuses without a code.
type strictJSON struct{}

// FromString reads an argument; see ledger.Decode.
func (strictJSON) FromString(argument string, t reflect.Type, _ *metadata.ParameterMetadata, _ *metadata.ComponentMetadata) (reflect.Value, error) {
	if t.Kind() != reflect.Struct {
		return reflect.Value{}, codes.Errorf("MF-INTERNAL", "a transaction takes a %s for its argument; report this", t)
	}
	value := reflect.New(t)
	if err := ledger.Decode(argument, value.Interface()); err != nil {
		return reflect.Value{}, err
	}
	return value.Elem(), nil
}

// ToString writes a result.
func (strictJSON) ToString(result reflect.Value, _ reflect.Type, _ *metadata.ReturnMetadata, _ *metadata.ComponentMetadata) (string, error) {
	if result.Kind() == reflect.String {
		return result.String(), nil
	}
	if result.Kind() == reflect.Pointer && result.IsNil() {
		return "", nil
	}
	bytes, err := ledger.Marshal(result.Interface())
	return string(bytes), err
}
