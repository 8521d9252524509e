// Package oracle checks ledgertest against Fabric itself. Random programs run
// twice: on ledgertest, and on the real chaincode handler, transaction
// simulator, endorsement policy validator and ledger of the Fabric release that
// the network runs, joined in one process. Read-write sets, responses, events,
// refusals, validation codes and what is readable afterwards must be equal.
//
// It is a module of its own because it pins the server's code. Run it with
// `go test ./...` in this folder; it needs no network of peers.
package oracle
