// Command hello is a chaincode to begin with: docs/fabric.md deploys it beside
// medfed's own. It runs as a service, without TLS, on this machine:
//
//	CHAINCODE_SERVER_ADDRESS  host and port to listen on
//	CHAINCODE_ID              package ID, as peer lifecycle calculates it
package main

import (
	"log"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"
)

// greeter keeps one greeting a name.
type greeter struct{ contractapi.Contract }

// Greet sets a name's greeting.
func (*greeter) Greet(ctx contractapi.TransactionContextInterface, name, greeting string) error {
	return ctx.GetStub().PutState(name, []byte(greeting))
}

// Greeting gives a name's greeting, "" for none.
func (*greeter) Greeting(ctx contractapi.TransactionContextInterface, name string) (string, error) {
	greeting, err := ctx.GetStub().GetState(name)
	return string(greeting), err
}

func main() {
	chaincode, err := contractapi.NewChaincode(new(greeter))
	if err != nil {
		log.Fatal(err)
	}
	server := &shim.ChaincodeServer{
		CCID: os.Getenv("CHAINCODE_ID"), Address: os.Getenv("CHAINCODE_SERVER_ADDRESS"),
		CC: chaincode, TLSProps: shim.TLSProperties{Disabled: true},
	}
	log.Fatal(server.Start())
}
