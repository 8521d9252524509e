package ledgertest_test

import (
	"fmt"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// Two clients change the same key: the first to be ordered wins, and the other
// endorses again.
func Example() {
	contract := &kvContract{}
	contract.Name = "kv"
	chaincode, err := contractapi.NewChaincode(contract)
	if err != nil {
		panic(err)
	}
	l, err := ledgertest.New(chaincode, ledgertest.WithPeers("Hospital1MSP", "Hospital2MSP"))
	if err != nil {
		panic(err)
	}
	alice := l.Identity("Hospital1MSP", "alice", "trainer")
	bob := l.Identity("Hospital2MSP", "bob", "trainer")

	first, err := l.Propose(alice, "kv:Append", "log", "a").Endorse()
	if err != nil {
		panic(err)
	}
	second, err := l.Propose(bob, "kv:Append", "log", "b").Endorse()
	if err != nil {
		panic(err)
	}
	for _, result := range l.Commit(first, second) {
		fmt.Println(result.Code)
	}
	retried, err := l.Submit(bob, "kv:Append", "log", "b")
	fmt.Println(retried.Code, err)
	value, err := l.Evaluate(bob, "kv:Get", "log")
	fmt.Println(string(value), err)
	// Output:
	// VALID
	// MVCC_READ_CONFLICT
	// VALID <nil>
	// ab <nil>
}
