// Package consortium is who may do what, as pure rules: the roles that a member's
// certificate authority gives, and who sends a transaction when. It knows neither
// Fabric nor a clock.
package consortium

import (
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// RoleAttribute is the certificate attribute that holds an identity's role.
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

// Roles lists all roles.
func Roles() []Role {
	return []Role{RoleCustodian, RolePatient, RoleRequester, RoleAuditor, RoleCoordinator, RoleTrainer}
}

// Caller is who signed the transaction, from the certificate only.
type Caller struct {
	ID   string // "MSP/name"
	MSP  string // MSP identifier of the caller's organisation
	Name string // the certificate's common name
	Role Role   // the certificate's medfed.role, "" when it has none
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

// Call is a transaction as the rules see it: who sends it, and when.
type Call struct {
	Caller
	At     int64 // the transaction's time in Unix seconds, its client's claim
	Window int64 // how many seconds the claim may be away from the real time
	TxID   string
}
