package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	mfcodes "github.com/medfed/medfed/chaincode/codes"
)

// remedy says what may help against a failed call.
type remedy int

const (
	none      remedy = iota // nothing: the answer is final
	again                   // endorse again: the ledger moved under the transaction
	elsewhere               // another peer
	anew                    // the call again, at once: who hangs is passed over
)

// failure is a failed attempt: an error for the caller, and what may help.
type failure struct {
	err    error
	remedy remedy
}

// partial is how the peer's gateway begins when it was left to it to choose the
// endorsers, the first agreed and others did not: they lie behind or ahead of it
// by a block, for the chaincode's answer depends on nothing else. It begins in the
// same way when the caller chose the endorsers, though then nobody may have
// agreed: see disagree.
const partial = "failed to collect enough transaction endorsements"

// explain finds out what a failed attempt means, be it that it was given up.
func (g *Gateway) explain(ctx, attempt context.Context, name string, p *peerConnection, err error) failure {
	if ctx.Err() == nil && hung(attempt) {
		return g.givenUp(name, p)
	}
	return explain(ctx, name, p, err)
}

// explain finds out what a failed endorsement, submit or evaluation means. The
// chaincode's own code and words come through unchanged.
func explain(ctx context.Context, name string, p *peerConnection, err error) failure {
	if ctx.Err() != nil {
		return failure{fmt.Errorf("%s: %w", name, context.Cause(ctx)), none}
	}
	messages := messagesIn(err)
	for _, message := range messages {
		answer := mfcodes.Parse(message)
		if answer == nil {
			continue
		}
		answer.Err = err
		return failure{&Refusal{Transaction: name, Answer: answer}, none}
	}
	said := strings.Join(messages, "; ")
	switch {
	case strings.Contains(said, "incorrect timestamp"):
		return failure{mfcodes.Errorf("MF-GATEWAY-CLOCK", "%s: the peers find this machine's clock wrong: %s; set it by a time server", name, said), none}
	case strings.Contains(said, "access denied") || strings.Contains(said, "creator") || isCode(err, codes.PermissionDenied, codes.Unauthenticated):
		return failure{mfcodes.Errorf("MF-GATEWAY-DENIED", "%s: the peers do not accept this identity: %s; enrol it with its organisation's CA, or name the right profile", name, said), none}
	case isCode(err, codes.DeadlineExceeded):
		return failure{mfcodes.Errorf("MF-GATEWAY-TIMEOUT", "%s: peer %s did not answer in time: %s; look at the peer and the orderers", name, p.name, said), elsewhere}
	case isCode(err, codes.Unavailable):
		return failure{mfcodes.Errorf("MF-GATEWAY-UNREACHABLE", "%s: peer %s, or an orderer behind it, cannot be reached: %s; start it, or correct the profile", name, p.name, said), elsewhere}
	default:
		return failure{mfcodes.Errorf("MF-GATEWAY-REFUSED", "%s: peer %s answered: %s; look at its log and its chaincode's", name, p.name, said), elsewhere}
	}
}

// lagging reports whether the endorsers that a refused transaction was sent to do
// not have the same blocks, so that it may be endorsed a little later. Asked is how
// many organisations the caller asked, 0 where the peer's gateway chose: where all of
// them have refused, with one code, there is no lag.
func lagging(err error, asked int) bool {
	if !strings.Contains(status.Convert(err).Message(), partial) {
		return false
	}
	return asked == 0 || len(messagesIn(err))-1 < asked || disagree(err)
}

// disagree reports whether the endorsers did not all refuse with the same code.
func disagree(err error) bool {
	messages := messagesIn(err)
	answers := map[mfcodes.Code]bool{}
	for _, message := range messages[:len(messages)-1] { // the last is the gateway's own
		var code mfcodes.Code
		if answer := mfcodes.Parse(message); answer != nil {
			code = answer.Code
		}
		answers[code] = true
	}
	return len(answers) != 1
}

// messagesIn are the words of an error's details, one for each endorser, and then
// its own.
func messagesIn(err error) []string {
	var messages []string
	for _, detail := range status.Convert(err).Details() {
		if d, ok := detail.(*gatewaypb.ErrorDetail); ok {
			messages = append(messages, d.GetMspId()+" ("+d.GetAddress()+"): "+d.GetMessage())
		}
	}
	return append(messages, status.Convert(err).Message())
}

func isCode(err error, among ...codes.Code) bool {
	for _, code := range among {
		if status.Code(err) == code {
			return true
		}
	}
	return false
}

// Refusal is the chaincode's own answer, in its own words.
type Refusal struct {
	Transaction string         // that was refused, as in round:OpenRound
	Answer      *mfcodes.Error // its cause is the Fabric gateway's error
}

func (r *Refusal) Error() string { return r.Answer.Error() }

// Unwrap gives the answer, whose code [mfcodes.Of] finds.
func (r *Refusal) Unwrap() error { return r.Answer }

// invalid says what a transaction that was committed as invalid means.
func invalid(name string, outcome *client.Status) failure {
	switch outcome.Code {
	case peer.TxValidationCode_MVCC_READ_CONFLICT, peer.TxValidationCode_PHANTOM_READ_CONFLICT:
		return failure{mfcodes.Errorf("MF-GATEWAY-CONFLICT", "%s: transaction %s met another at the same keys (%s); try again when the ledger is less busy", name, outcome.TransactionID, outcome.Code), again}
	case peer.TxValidationCode_DUPLICATE_TXID:
		return failure{mfcodes.Errorf("MF-GATEWAY-INVALID", "%s: transaction %s is on the ledger twice; try again", name, outcome.TransactionID), again}
	case peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE:
		return failure{mfcodes.Errorf("MF-GATEWAY-POLICY", "%s: transaction %s has not the endorsements its policy asks for; see that enough organisations' peers and chaincodes run", name, outcome.TransactionID), none}
	default:
		return failure{mfcodes.Errorf("MF-GATEWAY-INVALID", "%s: transaction %s was committed as invalid (%s); see the peers' logs", name, outcome.TransactionID, outcome.Code), none}
	}
}
