package ledgertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// Start is the time at which a ledger's clock begins unless At says otherwise.
var Start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// enrolment is what a certificate is made from; it is also its key in the cache.
type enrolment struct {
	organisation, name, role string
	unit                     msp.MSPRole_MSPRoleType
	attributes               [][2]string
	notAfter                 time.Time
	authority                string
}

// Certificates are pure functions of their enrolment and cost a tenth of a
// millisecond: they are shared between the ledgers of a test run.
var (
	identities  sync.Map // fmt of an enrolment -> *Identity
	authorities sync.Map // organisation and authority -> *certificateAuthority
)

type certificateAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func enrol(organisation, name, role string, unit msp.MSPRole_MSPRoleType, options []IdentityOption) *Identity {
	e := enrolment{
		organisation: organisation, name: name, role: role, unit: unit,
		notAfter: Start.AddDate(20, 0, 0),
	}
	for _, option := range options {
		option(&e)
	}
	key := fmt.Sprintf("%#v", e)
	if id, ok := identities.Load(key); ok {
		return id.(*Identity)
	}
	id, _ := identities.LoadOrStore(key, e.issue(key))
	return id.(*Identity)
}

func (e enrolment) issue(seed string) *Identity {
	ca := authority(e.organisation, e.authority)
	key := deriveKey(seed)
	template := &x509.Certificate{
		SerialNumber: serial(seed),
		Subject: pkix.Name{
			CommonName:         e.name,
			OrganizationalUnit: []string{strings.ToLower(e.unit.String())},
		},
		NotBefore:             Start.AddDate(-1, 0, 0),
		NotAfter:              e.notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{e.attributeExtension()},
	}
	id := &Identity{
		MSP: e.organisation, Name: e.name, Role: e.role, Key: key, unit: e.unit,
		Certificate: sign(template, ca.certificate, key, ca.key),
	}
	id.genuine = id.Certificate.CheckSignatureFrom(authority(e.organisation, "").certificate) == nil
	id.serialized = marshal(&msp.SerializedIdentity{Mspid: id.MSP, IdBytes: id.PEM()})
	return id
}

// certified is the identity that a real organisation's authority has enrolled:
// a serialised msp.SerializedIdentity. Whether its certificate is genuine, the
// network that it comes from has checked.
func certified(serialized []byte) (*Identity, error) {
	message := &msp.SerializedIdentity{}
	if err := proto.Unmarshal(serialized, message); err != nil {
		return nil, fmt.Errorf("not a serialised identity: %w", err)
	}
	block, _ := pem.Decode(message.IdBytes)
	if block == nil {
		return nil, fmt.Errorf("identity of %s holds no certificate", message.Mspid)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("identity of %s: %w", message.Mspid, err)
	}
	attributes, err := attrmgr.New().GetAttributesFromCert(certificate)
	if err != nil {
		return nil, fmt.Errorf("identity of %s: %w", message.Mspid, err)
	}
	id := &Identity{
		MSP: message.Mspid, Name: certificate.Subject.CommonName, Role: attributes.Attrs[RoleAttribute],
		Certificate: certificate, unit: msp.MSPRole_CLIENT, genuine: true, serialized: serialized,
	}
	for _, unit := range certificate.Subject.OrganizationalUnit {
		if role, known := msp.MSPRole_MSPRoleType_value[strings.ToUpper(unit)]; known {
			id.unit = msp.MSPRole_MSPRoleType(role)
		}
	}
	return id, nil
}

// attributeExtension is the extension in which fabric-ca puts the attributes of
// an identity.
func (e enrolment) attributeExtension() pkix.Extension {
	attributes := map[string]string{
		"hf.Affiliation":  "",
		"hf.EnrollmentID": e.name,
		"hf.Type":         strings.ToLower(e.unit.String()),
	}
	if e.role != "" {
		attributes[RoleAttribute] = e.role
	}
	for _, a := range e.attributes {
		attributes[a[0]] = a[1]
	}
	value, err := json.Marshal(attrmgr.Attributes{Attrs: attributes})
	if err != nil {
		panic(err) // a map of strings always marshals
	}
	return pkix.Extension{Id: attrmgr.AttrOID, Value: value}
}

func authority(organisation, name string) *certificateAuthority {
	seed := "authority " + name + " of " + organisation
	if ca, ok := authorities.Load(seed); ok {
		return ca.(*certificateAuthority)
	}
	key := deriveKey(seed)
	template := &x509.Certificate{
		SerialNumber:          serial(seed),
		Subject:               pkix.Name{CommonName: "ca." + organisation, Organization: []string{organisation}},
		NotBefore:             Start.AddDate(-1, 0, 0),
		NotAfter:              Start.AddDate(30, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	ca := &certificateAuthority{certificate: sign(template, template, key, key), key: key}
	stored, _ := authorities.LoadOrStore(seed, ca)
	return stored.(*certificateAuthority)
}

// sign issues a certificate; without a source of randomness the signature is
// the deterministic one of RFC 6979.
func sign(template, parent *x509.Certificate, subject, signer *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(nil, template, parent, &subject.PublicKey, signer)
	if err != nil {
		panic(fmt.Sprintf("ledgertest: certificate of %q: %v", template.Subject.CommonName, err))
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("ledgertest: certificate of %q: %v", template.Subject.CommonName, err))
	}
	return certificate
}

// deriveKey makes a P-256 key from a seed. A hash is a valid scalar but with
// probability 2^-32; then the next one is taken.
func deriveKey(seed string) *ecdsa.PrivateKey {
	scalar := sha256.Sum256([]byte("ledgertest key " + seed))
	for {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
		if err == nil {
			return key
		}
		scalar = sha256.Sum256(scalar[:])
	}
}

func serial(seed string) *big.Int {
	sum := sha256.Sum256([]byte("ledgertest serial " + seed))
	sum[0] &= 0x7f
	return new(big.Int).SetBytes(sum[:16])
}
