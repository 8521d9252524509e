// Package ledgertest is an in-memory Hyperledger Fabric for tests: it runs a
// real chaincode, through the real contract API, on several endorsers, and then
// orders, validates and commits what they endorsed as a v3 peer on LevelDB does.
//
//	l, err := ledgertest.New(chaincode)
//	trainer := l.Identity("Hospital1MSP", "trainer1", "trainer")
//	result, err := l.Submit(trainer, "task:JoinTask", request)
//
// # Modelled
//
//   - Identities: P-256 X.509 certificates with NodeOU units and the fabric-ca
//     attribute extension; unknown authorities, expiry and revocation.
//   - Endorsement on any set of peers, each with its own clock skew and, where a
//     test freezes it, its own older ledger height; the peers' time window; the
//     gateway's choice of endorsers by collection and policy; the comparison of
//     the proposal response payloads, byte for byte.
//   - Simulation: no read of the transaction's own writes, read versions, range
//     query information with the Merkle summary of large ranges, batches of 100
//     and pagination, and everything the simulator refuses (a write after a
//     paginated query, a query of private data after a write, rich queries).
//   - Private data: member organisations, memberOnlyRead and memberOnlyWrite,
//     hashed keys and values on the public side, values on the members' peers
//     only, block-to-live, delete, purge, implicit organisation collections.
//   - Validation: endorsement policies of chaincode, collection and key,
//     MVCC and phantom conflicts between and inside blocks, duplicate
//     transaction IDs, revoked creators.
//   - History with deletions, one event per transaction, blocks as the protobuf
//     messages a peer stores, with the responses, events and refused writes that
//     stay in them for ever.
//
// The module in the folder oracle runs random programs on this package and on
// Fabric's own code, and compares everything they read, write and decide. The
// test network runs a scenario file (see Scenario) on real peers and here, and
// compares what the blocks hold.
//
// # Not modelled
//
// Signatures (a test can't forge one, so none is made or checked), consensus and
// its delays, gossip (every member peer has its private data at commit), CouchDB
// queries, calls to other chaincodes, ACLs and channel configuration, the reads
// of the _lifecycle namespace that a peer adds to each read set, and limits on
// message sizes.
package ledgertest
