package ledgertest

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
)

// RoleAttribute is the certificate attribute that carries an identity's role in
// the consortium.
const RoleAttribute = "medfed.role"

// Identity is an enrolled member of an organisation: a client or a peer with an
// X.509 certificate of its organisation's authority. The same names give the
// same certificate in every ledger and every run.
type Identity struct {
	MSP         string
	Name        string // the certificate's common name
	Role        string // value of the certificate attribute medfed.role, "" for none
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
	unit        msp.MSPRole_MSPRoleType // the NodeOU: client, peer or admin
	genuine     bool                    // issued by the authority that the channel knows
	serialized  []byte
}

// String is the identity as contracts name it, "MSP/common-name".
func (id *Identity) String() string { return id.MSP + "/" + id.Name }

// scenarioName is the identity as a scenario file writes it.
func (id *Identity) scenarioName() string {
	if id.Role == "" {
		return id.String()
	}
	return id.String() + "/" + id.Role
}

// Serialized is the creator that a transaction of this identity carries: a
// SerializedIdentity with the PEM certificate.
func (id *Identity) Serialized() []byte { return id.serialized }

// PEM is the certificate in PEM form.
func (id *Identity) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.Certificate.Raw})
}

// is reports whether the identity satisfies a role principal under NodeOUs.
func (id *Identity) is(role *msp.MSPRole) bool {
	if role.MspIdentifier != id.MSP {
		return false
	}
	return role.Role == msp.MSPRole_MEMBER || role.Role == id.unit
}

// IdentityOption changes how an identity is enrolled.
type IdentityOption func(*enrolment)

// Attribute adds a certificate attribute beside medfed.role.
func Attribute(name, value string) IdentityOption {
	return func(e *enrolment) { e.attributes = append(e.attributes, [2]string{name, value}) }
}

// Admin enrols an administrator of the organisation (its NodeOU is admin).
func Admin() IdentityOption {
	return func(e *enrolment) { e.unit = msp.MSPRole_ADMIN }
}

// Expires sets the end of the certificate's validity. A peer whose clock has
// passed it refuses the identity's proposals.
func Expires(at time.Time) IdentityOption {
	return func(e *enrolment) { e.notAfter = at }
}

// SelfMade issues the certificate from an authority that the channel does not
// know but that bears the organisation's name: an impostor's.
func SelfMade() IdentityOption {
	return func(e *enrolment) { e.authority = "impostor" }
}

// Identity enrols a client of an organisation, or answers the one enrolled
// before under the same name, role and options. An organisation that the ledger
// does not have yet becomes one without peers. An empty role leaves the
// attribute out.
func (l *Ledger) Identity(organisation, name, role string, options ...IdentityOption) *Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.organisations[organisation] = true
	return enrol(organisation, name, role, msp.MSPRole_CLIENT, options)
}

// Outsider enrols a client of an organisation that is not in the channel.
func Outsider(organisation, name, role string, options ...IdentityOption) *Identity {
	return enrol(organisation, name, role, msp.MSPRole_CLIENT, options)
}

// Revoke puts an identity on its organisation's revocation list: peers refuse
// its proposals and, at commit, what it had endorsed before.
func (l *Ledger) Revoke(id *Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked[id] = true
	l.journal.add(journalEntry{kind: changed, now: l.now, step: &Step{Revoke: id.scenarioName()}})
}

// admit is what a peer's membership check says of a creator.
func (l *Ledger) admit(id *Identity) error {
	if !id.genuine || !l.organisations[id.MSP] || l.revoked[id] {
		return fmt.Errorf("error validating proposal: access denied: channel [%s] creator org [%s]", l.channel, id.MSP)
	}
	return nil
}
