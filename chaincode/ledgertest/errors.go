package ledgertest

import (
	"fmt"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// EndorseError says why a proposal was not endorsed, peer by peer, in the words
// of the gateway. The chaincode's own message is in its text.
type EndorseError struct {
	TxID    string
	Message string
	Details []EndorserDetail

	fromChaincode bool
}

// EndorserDetail is what one peer had against a proposal.
type EndorserDetail struct {
	Peer, MSP  string
	Message    string
	Difference string // where payloads did not match, how
}

func (e *EndorseError) Error() string {
	var b strings.Builder
	b.WriteString("endorse error: " + e.Message)
	for _, d := range e.Details {
		fmt.Fprintf(&b, "; %s: %s", d.Peer, d.Message)
		if d.Difference != "" {
			fmt.Fprintf(&b, " (%s)", d.Difference)
		}
	}
	return b.String()
}

func refusal(p *Proposal, q *Peer, message string, fromChaincode bool) *EndorseError {
	return &EndorseError{
		TxID: p.txID, Message: "failed to endorse transaction, see attached details for more info", fromChaincode: fromChaincode,
		Details: []EndorserDetail{{Peer: q.identity.String(), MSP: q.identity.MSP, Message: message}},
	}
}

// CommitError says that a transaction was ordered and found invalid.
type CommitError struct {
	TxID string
	Code peer.TxValidationCode
}

func (e *CommitError) Error() string {
	return fmt.Sprintf("transaction %s failed to commit with status code %d (%s)", e.TxID, e.Code, e.Code)
}

// EvaluateError is a peer's refusal of a query.
type EvaluateError struct {
	Peer    string
	Message string
}

func (e *EvaluateError) Error() string {
	return "evaluate call to endorser returned error: " + e.Message
}
