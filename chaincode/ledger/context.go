package ledger

import (
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// TimeWindow is how many seconds a transaction's timestamp, which is the
// client's claim, may differ from an endorsing peer's clock. It is the peers'
// peer.authentication.timewindow, and a rule that must hold in real time (a
// consent's expiry) leaves this much room.
const TimeWindow = 30

// RoleAttribute is the certificate attribute that holds the caller's role.
const RoleAttribute = "medfed.role"

// Role is what an enrolled identity may do; its Fabric CA puts it in the certificate.
type Role string

// The roles.
const (
	RoleCoordinator Role = "coordinator"
	RoleTrainer     Role = "trainer"
	RoleCustodian   Role = "custodian"
	RolePatient     Role = "patient"
	RoleRequester   Role = "requester"
	RoleAuditor     Role = "auditor"
)

// Caller is who signed the transaction, from the certificate only.
type Caller struct {
	ID   string // "MSP/name"
	MSP  string // MSP identifier of the caller's organisation
	Name string // the certificate's common name
	Role Role   // the certificate's medfed.role, "" when it has none
}

// Context is what a transaction sees of the world: the stub and the caller, and
// whether its one event has been set. The contract API makes a new one for each
// transaction.
type Context struct {
	contractapi.TransactionContext
	emitted bool
}

// Caller reads who signed the transaction.
func (ctx *Context) Caller() (Caller, error) {
	identity := ctx.GetClientIdentity()
	if id, ok := identity.(*cid.ClientID); identity == nil || ok && id == nil {
		return Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller's certificate can't be read; enrol again with your organisation's CA")
	}
	certificate, err := identity.GetX509Certificate()
	if err != nil || certificate == nil {
		return Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller has no X.509 certificate; enrol again with your organisation's CA")
	}
	msp, err := identity.GetMSPID()
	if err != nil {
		return Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller's MSP can't be read; enrol again with your organisation's CA")
	}
	role, _, err := identity.GetAttributeValue(RoleAttribute)
	if err != nil {
		return Caller{}, codes.Errorf("MF-IDENTITY-UNREADABLE", "the caller's attributes can't be read; enrol again with your organisation's CA")
	}
	caller := Caller{MSP: msp, Name: certificate.Subject.CommonName, Role: Role(role)}
	if err := checkName("the caller's MSP", caller.MSP); err != nil {
		return Caller{}, err
	}
	if err := checkName("the caller's common name", caller.Name); err != nil {
		return Caller{}, err
	}
	caller.ID = caller.MSP + "/" + caller.Name
	return caller, nil
}

// CallerAs reads who signed the transaction and refuses whoever has none of the
// roles.
func (ctx *Context) CallerAs(roles ...Role) (Caller, error) {
	caller, err := ctx.Caller()
	if err != nil {
		return Caller{}, err
	}
	return caller, caller.MustBe(roles...)
}

// MustBe refuses a caller that has none of the roles.
func (c Caller) MustBe(roles ...Role) error {
	var names []string
	for _, role := range roles {
		if c.Role == role {
			return nil
		}
		names = append(names, string(role))
	}
	if c.Role == "" {
		return codes.Errorf("MF-ROLE-MISSING", "%s has no %s in its certificate; enrol with the role %s", c.ID, RoleAttribute, strings.Join(names, " or "))
	}
	return codes.Errorf("MF-ROLE-DENIED", "%s is enrolled as another role; this takes the role %s", c.ID, strings.Join(names, " or "))
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
