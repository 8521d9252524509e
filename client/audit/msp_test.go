package audit

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
)

func TestWhoIsOfAnOrganisation(t *testing.T) {
	f := newForger(t, plant{})
	authority := func(name string) *person {
		return f.issue(name, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name)}, nil)
	}
	ours, theirs := authority("OurMSP"), authority("TheirMSP")
	issue := func(by *person, units ...string) *person {
		f.people[string(rune(len(f.people)))] = nil // another serial number
		return f.issue("OurMSP", &x509.Certificate{Subject: pkix.Name{CommonName: "x", OrganizationalUnit: units}}, by)
	}
	revoked := issue(ours, "peer")
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revoked.certificate.SerialNumber, RevocationTime: time.Now()}},
	}, ours.certificate, ours.key)
	if err != nil {
		t.Fatal(err)
	}
	named := func(unit string) *msp.FabricOUIdentifier {
		return &msp.FabricOUIdentifier{OrganizationalUnitIdentifier: unit, Certificate: inPEM(ours.certificate)}
	}
	admin := issue(ours, "client")
	o, err := newOrganisation(&msp.FabricMSPConfig{
		Name: "OurMSP", RootCerts: [][]byte{inPEM(ours.certificate)}, Admins: [][]byte{inPEM(admin.certificate)},
		RevocationList: [][]byte{pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list})},
		FabricNodeOus: &msp.FabricNodeOUs{Enable: true, ClientOuIdentifier: named("client"), PeerOuIdentifier: named("peer"),
			AdminOuIdentifier: named("admin"), OrdererOuIdentifier: named("orderer")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		who   *person
		roles []msp.MSPRole_MSPRoleType // nil: not of the organisation
	}{
		"peer":             {issue(ours, "peer"), []msp.MSPRole_MSPRoleType{msp.MSPRole_MEMBER, msp.MSPRole_PEER}},
		"client":           {issue(ours, "client", "department"), []msp.MSPRole_MSPRoleType{msp.MSPRole_MEMBER, msp.MSPRole_CLIENT}},
		"admin":            {issue(ours, "admin"), []msp.MSPRole_MSPRoleType{msp.MSPRole_MEMBER, msp.MSPRole_ADMIN}},
		"named admin":      {admin, []msp.MSPRole_MSPRoleType{msp.MSPRole_MEMBER, msp.MSPRole_ADMIN, msp.MSPRole_CLIENT}},
		"orderer":          {issue(ours, "orderer"), []msp.MSPRole_MSPRoleType{msp.MSPRole_MEMBER, msp.MSPRole_ORDERER}},
		"no role":          {issue(ours, "department"), nil},
		"two roles":        {issue(ours, "peer", "client"), nil},
		"revoked":          {revoked, nil},
		"another's":        {issue(theirs, "peer"), nil},
		"the authority":    {ours, nil},
		"signed by itself": {issue(nil, "peer"), nil},
	} {
		id, err := o.identify(inPEM(c.who.certificate))
		if (err == nil) != (c.roles != nil) {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			continue
		}
		for role := range msp.MSPRole_MSPRoleType_name {
			want := false
			for _, r := range c.roles {
				want = want || r == msp.MSPRole_MSPRoleType(role)
			}
			if got := id.plays(&msp.MSPRole{MspIdentifier: "OurMSP", Role: msp.MSPRole_MSPRoleType(role)}); got != want {
				t.Errorf("%s plays %s: %v", what, msp.MSPRole_MSPRoleType(role), got)
			}
			if id.plays(&msp.MSPRole{MspIdentifier: "TheirMSP", Role: msp.MSPRole_MSPRoleType(role)}) {
				t.Errorf("%s plays a role of another organisation", what)
			}
		}
	}
}

func TestOnlyTheLowFormOfASignatureHolds(t *testing.T) {
	f := newForger(t, plant{})
	p := f.issue("OurMSP", &x509.Certificate{}, nil)
	id := &identity{certificate: p.certificate}
	message := []byte("message")
	low := f.sign(p, message)
	if err := id.verify(message, low); err != nil {
		t.Error(err)
	}
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(low, &numbers); err != nil {
		t.Fatal(err)
	}
	numbers.S.Sub(p.key.Params().N, numbers.S)
	high, err := asn1.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	for what, signature := range map[string][]byte{"high": high, "cut": low[:len(low)-1], "more": append(low, 0), "none": nil} {
		if id.verify(message, signature) == nil {
			t.Errorf("%s: it holds", what)
		}
	}
	if id.verify([]byte("another"), low) == nil {
		t.Error("it holds for another message")
	}
}
