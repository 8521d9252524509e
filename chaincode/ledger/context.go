package ledger

import (
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
)

// TimeWindow is how many seconds a transaction's timestamp, which is the
// client's claim, may differ from an endorsing peer's clock. It is the peers'
// peer.authentication.timewindow, and a rule that must hold in real time (a
// consent's expiry) leaves this much room.
const TimeWindow = 30

// Context is what a transaction sees of the world: the stub and the caller, and
// whether its one event has been set. The contract API makes a new one for each
// transaction.
type Context struct {
	contractapi.TransactionContext
	emitted bool
}

// Caller reads who signed the transaction.
func (ctx *Context) Caller() (consortium.Caller, error) {
	identity := ctx.GetClientIdentity()
	if id, ok := identity.(*cid.ClientID); identity == nil || ok && id == nil {
		return consortium.Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller's certificate can't be read; enrol again with your organisation's CA")
	}
	certificate, err := identity.GetX509Certificate()
	if err != nil || certificate == nil {
		return consortium.Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller has no X.509 certificate; enrol again with your organisation's CA")
	}
	msp, err := identity.GetMSPID()
	if err != nil {
		return consortium.Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller's MSP can't be read; enrol again with your organisation's CA")
	}
	role, _, err := identity.GetAttributeValue(consortium.RoleAttribute)
	if err != nil {
		return consortium.Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller's attributes can't be read; enrol again with your organisation's CA")
	}
	caller := consortium.Caller{MSP: msp, Name: certificate.Subject.CommonName, Role: consortium.Role(role)}
	if err := checkName("the caller's MSP", caller.MSP); err != nil {
		return consortium.Caller{}, err
	}
	if err := checkName("the caller's common name", caller.Name); err != nil {
		return consortium.Caller{}, err
	}
	caller.ID = caller.MSP + "/" + caller.Name
	return caller, nil
}

// CallerAs reads who signed the transaction and refuses whoever has none of the
// roles.
func (ctx *Context) CallerAs(roles ...consortium.Role) (consortium.Caller, error) {
	caller, err := ctx.Caller()
	if err != nil {
		return consortium.Caller{}, err
	}
	return caller, caller.MustBe(roles...)
}

// checkName refuses a half of "MSP/name" that would make the whole ambiguous.
func checkName(what, value string) error {
	if strings.Contains(value, "/") {
		return codes.Errorf("MF-IDENTIFIER-CHARACTER", "%s holds a slash; enrol under a name without one", what)
	}
	return form.CheckIdentifier(what, value)
}

// Now is the transaction's timestamp in Unix seconds: the client's claim, within
// TimeWindow of the endorsing peers' clocks. The same on every endorser.
func (ctx *Context) Now() (int64, error) {
	timestamp, err := ctx.GetStub().GetTxTimestamp()
	if err != nil || timestamp == nil {
		return 0, codes.Errorf("MF-LEDGER-READ", "the transaction has no timestamp; submit it through the gateway")
	}
	return timestamp.GetSeconds(), nil
}

// Call is the transaction as the rules see it: who sends it, and when.
func (ctx *Context) Call() (consortium.Call, error) {
	caller, err := ctx.Caller()
	if err != nil {
		return consortium.Call{}, err
	}
	now, err := ctx.Now()
	return consortium.Call{Caller: caller, At: now, Window: TimeWindow, TxID: ctx.GetStub().GetTxID()}, err
}

// Emit sets the transaction's one event, under the name that the transaction was
// called by, such as round:OpenRound. The payload is public: it holds nothing
// private.
func (ctx *Context) Emit(payload any) error {
	name, _ := ctx.GetStub().GetFunctionAndParameters()
	if ctx.emitted {
		return codes.Errorf("MF-INTERNAL", "%s sets a second event; report this", name)
	}
	bytes, err := Marshal(payload)
	if err != nil {
		return err
	}
	if err := ctx.GetStub().SetEvent(name, bytes); err != nil {
		return codes.Errorf("MF-LEDGER-WRITE", "event %s was not taken; submit again", name)
	}
	ctx.emitted = true
	return nil
}
