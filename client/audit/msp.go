package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// organisation is an MSP as the channel's configuration describes it: whose
// certificates are its members', and which organisational unit makes what role.
type organisation struct {
	id            string
	roots         *x509.CertPool
	intermediates *x509.CertPool
	admins        []*x509.Certificate
	revoked       []*x509.RevocationList
	units         []unit                           // one of which a member must have; empty for no such rule
	roles         map[msp.MSPRole_MSPRoleType]unit // empty when roles are not told apart
}

// unit is an organisational unit, and who must have certified it.
type unit struct {
	name      string
	certifier *x509.Certificate // nil for any of the organisation's
}

// identity is a certificate of an organisation.
type identity struct {
	org         *organisation
	certificate *x509.Certificate
	chain       []*x509.Certificate // from the certificate to a root
}

// newOrganisation reads an MSP's configuration.
func newOrganisation(config *msp.FabricMSPConfig) (*organisation, error) {
	o := &organisation{id: config.GetName(), roots: x509.NewCertPool(), intermediates: x509.NewCertPool()}
	if o.id == "" {
		return nil, errors.New("an MSP has no name")
	}
	for _, list := range []struct {
		certificates [][]byte
		add          func(*x509.Certificate)
	}{
		{config.GetRootCerts(), o.roots.AddCert},
		{config.GetIntermediateCerts(), o.intermediates.AddCert},
		{config.GetAdmins(), func(c *x509.Certificate) { o.admins = append(o.admins, c) }},
	} {
		for _, content := range list.certificates {
			certificate, err := parseCertificate(content)
			if err != nil {
				return nil, fmt.Errorf("MSP %s: %w", o.id, err)
			}
			list.add(certificate)
		}
	}
	for _, content := range config.GetRevocationList() {
		list, err := parseRevocations(content)
		if err != nil {
			return nil, fmt.Errorf("MSP %s: %w", o.id, err)
		}
		o.revoked = append(o.revoked, list)
	}
	return o, o.setUnits(config)
}

func (o *organisation) setUnits(config *msp.FabricMSPConfig) error {
	for _, described := range config.GetOrganizationalUnitIdentifiers() {
		u, err := newUnit(described)
		if err != nil {
			return fmt.Errorf("MSP %s: %w", o.id, err)
		}
		o.units = append(o.units, u)
	}
	nodes := config.GetFabricNodeOus()
	if !nodes.GetEnable() {
		return nil
	}
	o.roles = map[msp.MSPRole_MSPRoleType]unit{}
	for role, described := range map[msp.MSPRole_MSPRoleType]*msp.FabricOUIdentifier{
		msp.MSPRole_CLIENT: nodes.ClientOuIdentifier, msp.MSPRole_PEER: nodes.PeerOuIdentifier,
		msp.MSPRole_ADMIN: nodes.AdminOuIdentifier, msp.MSPRole_ORDERER: nodes.OrdererOuIdentifier,
	} {
		if described == nil {
			continue
		}
		u, err := newUnit(described)
		if err != nil {
			return fmt.Errorf("MSP %s: %w", o.id, err)
		}
		o.roles[role] = u
	}
	return nil
}

func newUnit(described *msp.FabricOUIdentifier) (unit, error) {
	u := unit{name: described.GetOrganizationalUnitIdentifier()}
	if len(described.GetCertificate()) == 0 {
		return u, nil
	}
	var err error
	u.certifier, err = parseCertificate(described.GetCertificate())
	return u, err
}

func parseCertificate(content []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("a certificate is not in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parseRevocations(content []byte) (*x509.RevocationList, error) {
	if block, _ := pem.Decode(content); block != nil {
		content = block.Bytes
	}
	return x509.ParseRevocationList(content)
}

// identify checks a certificate as a peer does: it leads to one of the
// organisation's roots, is not revoked and has the units it must have. It may
// have expired since: what counts is that it was good when it was issued, which
// is Fabric's own rule for what is already on a ledger.
func (o *organisation) identify(content []byte) (*identity, error) {
	certificate, err := parseCertificate(content)
	if err != nil {
		return nil, err
	}
	if certificate.IsCA {
		return nil, errors.New("the certificate is an authority's")
	}
	chains, err := certificate.Verify(x509.VerifyOptions{
		Roots: o.roots, Intermediates: o.intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		CurrentTime: certificate.NotBefore.Add(time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("the certificate is not of %s: %w", o.id, err)
	}
	if len(chains[0]) < 2 {
		return nil, errors.New("the certificate is its own authority's")
	}
	id := &identity{o, certificate, chains[0]}
	if id.isRevoked() {
		return nil, errors.New("the certificate is revoked")
	}
	return id, id.checkUnits()
}

func (id *identity) isRevoked() bool {
	issuer := id.chain[1]
	for _, list := range id.org.revoked {
		if !bytes.Equal(list.AuthorityKeyId, issuer.SubjectKeyId) || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(id.certificate.SerialNumber) == 0 {
				return true
			}
		}
	}
	return false
}

// has reports whether the certificate names a unit, certified as it must be.
func (id *identity) has(u unit) bool {
	return slices.Contains(id.certificate.Subject.OrganizationalUnit, u.name) &&
		(u.certifier == nil || u.certifier.Equal(id.chain[1]))
}

func (id *identity) checkUnits() error {
	if len(id.org.units) > 0 && !slices.ContainsFunc(id.org.units, id.has) {
		return errors.New("the certificate has none of its organisation's units")
	}
	if id.org.roles == nil {
		return nil
	}
	count := 0
	for _, u := range id.org.roles {
		for _, name := range id.certificate.Subject.OrganizationalUnit {
			if name == u.name {
				count++
			}
		}
		if slices.Contains(id.certificate.Subject.OrganizationalUnit, u.name) && !id.has(u) {
			return errors.New("the certificate's role is certified by another authority than it must be")
		}
	}
	if count != 1 {
		return fmt.Errorf("the certificate has %d of the roles client, peer, admin and orderer, and not one", count)
	}
	return nil
}

// key tells identities apart.
func (id *identity) key() string { return id.org.id + "\x00" + string(id.certificate.Raw) }

// plays reports whether the identity has a role of an organisation.
func (id *identity) plays(role *msp.MSPRole) bool {
	if role.GetMspIdentifier() != id.org.id {
		return false
	}
	switch role.GetRole() {
	case msp.MSPRole_MEMBER:
		return true
	case msp.MSPRole_ADMIN:
		if slices.ContainsFunc(id.org.admins, id.certificate.Equal) {
			return true
		}
	}
	u, told := id.org.roles[role.GetRole()]
	return told && id.has(u)
}

// satisfies reports whether the identity is what a policy asks for. Kinds of
// principal that a policy of a channel can't be made of satisfy nothing.
func (id *identity) satisfies(principal *msp.MSPPrincipal) bool {
	switch principal.GetPrincipalClassification() {
	case msp.MSPPrincipal_ROLE:
		role := &msp.MSPRole{}
		return proto.Unmarshal(principal.GetPrincipal(), role) == nil && id.plays(role)
	case msp.MSPPrincipal_IDENTITY:
		named := &msp.SerializedIdentity{}
		if proto.Unmarshal(principal.GetPrincipal(), named) != nil || named.GetMspid() != id.org.id {
			return false
		}
		certificate, err := parseCertificate(named.GetIdBytes())
		return err == nil && certificate.Equal(id.certificate)
	default:
		return false
	}
}

// verify checks the identity's signature of a message.
func (id *identity) verify(message, signature []byte) error {
	switch key := id.certificate.PublicKey.(type) {
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(message)
		if !isLow(key.Curve, signature) || !ecdsa.VerifyASN1(key, digest[:], signature) {
			return errors.New("the signature is not that of the certificate's key")
		}
		return nil
	case ed25519.PublicKey:
		if !ed25519.Verify(key, message, signature) {
			return errors.New("the signature is not that of the certificate's key")
		}
		return nil
	default:
		return fmt.Errorf("the certificate has a key of the kind %T, which Fabric does not take", key)
	}
}

// isLow reports whether a signature is the one of its two equal forms that Fabric
// takes: its second number is at most half the curve's order.
func isLow(curve elliptic.Curve, signature []byte) bool {
	var numbers struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &numbers); err != nil || len(rest) > 0 {
		return false
	}
	half := new(big.Int).Rsh(curve.Params().N, 1)
	return numbers.S.Cmp(half) <= 0
}
