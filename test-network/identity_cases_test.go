package testnetwork

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	fabric "github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
)

// Case 18: once an identity is revoked no peer accepts it, neither what it asks
// nor what it had endorsed before; its name gets no other certificate, and nobody
// else is touched. Leaver is an officer of a member, former the requester of a
// partner, which has no peer.
func TestCase18RevokedCertificate(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	leaver := w.party(custodian, "leaver", consortium.RoleCustodian)
	former := w.party("foreignlab", "former", consortium.RoleRequester)
	_, officer2 := w.enrol(custodian, "leaver", consortium.RoleCustodian)
	elsewhere := w.connect("hospital2", officer2).Contracts()
	_, err := elsewhere.Records.Get(t.Context(), record.RecordRequest{Record: id})
	w.must(err)
	ask := func(p party) error {
		_, err := p.Ledger.Accesses.RequestAccess(t.Context(), use(noConsent, id, 1)) // denied, and logged
		return err
	}
	w.committed(ask(former))
	endorsed := w.endorse(leaver, "record:Deprecate", record.RecordRequest{Record: id})

	w.must(w.network.Revoke(t.Context(), custodian, "leaver"))
	as(t, w.network, "foreignlab/former").must(t, "identity", "revoke", "foreignlab", "former", "--state", w.network.StateDir(),
		"--bin", programs(t), "--consortium", "consortium.yaml", "--base-port", strconv.Itoa(w.network.Consortium().BasePort))

	if commit, err := endorsed.SubmitWithContext(t.Context()); err == nil {
		status, err := commit.StatusWithContext(t.Context())
		if w.must(err); status.Code == peer.TxValidationCode_VALID {
			t.Error("what was endorsed before the revocation was committed after it")
		}
	}
	_, err = leaver.Ledger.Records.Deprecate(t.Context(), record.RecordRequest{Record: id})
	w.denied("MF-GATEWAY-DENIED", err)
	_, err = leaver.Ledger.Records.Get(t.Context(), record.RecordRequest{Record: id})
	w.denied("MF-GATEWAY-DENIED", err)
	_, err = leaver.Ledger.Records.GetPrivate(t.Context(), custodianMSP, record.VersionRequest{Record: id, Version: 1})
	w.denied("MF-GATEWAY-DENIED", err)
	_, err = elsewhere.Records.Get(t.Context(), record.RecordRequest{Record: id})
	w.denied("MF-GATEWAY-DENIED", err)
	w.denied("MF-GATEWAY-DENIED", ask(former))
	for _, who := range []struct{ org, name, role string }{{custodian, "leaver", "custodian"}, {"foreignlab", "former", "requester"}} {
		_, err := w.network.Enrol(t.Context(), who.org, who.name, who.role)
		w.denied("MF-NETWORK-TOOL", err)
	}
	w.must(w.network.Revoke(t.Context(), custodian, "leaver")) // again
	w.denied("MF-NETWORK-IDENTITY", w.network.Revoke(t.Context(), custodian, "never-enrolled"))

	w.settle()
	kept, err := w.officer.Ledger.Records.Get(t.Context(), record.RecordRequest{Record: id})
	w.must(err)
	if kept.Status != record.Active {
		t.Errorf("the record is %s", kept.Status)
	}
	w.committed(ask(w.requester))
	w.verified()
}

// verified exports the whole ledger as the auditor and checks it: what was signed
// before a revocation stays good.
func (w *ward) verified() {
	w.t.Helper()
	auditor, bundle := as(w.t, w.network, "auditor/auditor"), filepath.Join(w.t.TempDir(), "ledger.bundle")
	var exported struct {
		Genesis string `json:"genesis"`
	}
	w.must(json.Unmarshal([]byte(auditor.must(w.t, "audit", "export", "--out", bundle, "--format", "json")), &exported))
	auditor.must(w.t, "audit", "verify", bundle, "--genesis", exported.Genesis)
}

// noConsent is the identifier of a consent that nobody has asked for.
const noConsent = "c-00000000000000000000000000000000"

// Case 18: a certificate that the organisation's CA has signed and that has
// expired. The client refuses it, and so do the peers where a client does not.
func TestCase18ExpiredCertificate(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	for _, c := range []struct {
		name     string
		lasts    time.Duration // from when the CA itself was made, some minutes ago
		accepted bool
	}{
		{"not expired", 24 * time.Hour, true},
		{"expired", time.Second, false},
	} {
		dir := w.reissue(custodian, "officer", c.lasts)
		if _, err := gateway.LoadIdentity(custodianMSP, dir); c.accepted {
			w.must(err)
		} else {
			w.denied("MF-GATEWAY-IDENTITY", err)
		}
		_, contract := w.fabric(custodianMSP, dir)
		argument, err := json.Marshal(record.RecordRequest{Record: id})
		w.must(err)
		if _, err = contract.EvaluateWithContext(t.Context(), "record:Get", fabric.WithArguments(string(argument))); (err == nil) != c.accepted {
			t.Errorf("%s: a query: %v", c.name, err)
		}
		if _, err = contract.SubmitWithContext(t.Context(), "record:Deprecate", fabric.WithArguments(string(argument))); (err == nil) != c.accepted {
			t.Errorf("%s: a transaction: %v %s", c.name, err, details(err))
		}
		w.settle()
	}
}

// reissue has an organisation's own CA sign an enrolled identity's certificate
// anew, valid from the CA's own beginning on for some time, and gives an MSP
// folder with it and the old key.
func (w *ward) reissue(org, name string, lasts time.Duration) string {
	w.t.Helper()
	enrolled := w.network.IdentityDir(org, name)
	ca := filepath.Join(w.network.StateDir(), "crypto", "peerOrganizations", org+"."+w.network.Consortium().Domain, "ca")
	authority := w.certificate(filepath.Join(ca, "ca."+org+"."+w.network.Consortium().Domain+"-cert.pem"))
	raw, err := os.ReadFile(filepath.Join(ca, "priv_sk"))
	w.must(err)
	signer, err := identity.PrivateKeyFromPEM(raw)
	w.must(err)
	old := w.certificate(filepath.Join(enrolled, "signcerts", "cert.pem"))
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	w.must(err)
	signed, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: old.Subject, NotBefore: authority.NotBefore, NotAfter: authority.NotBefore.Add(lasts), KeyUsage: old.KeyUsage,
		BasicConstraintsValid: true, SubjectKeyId: old.SubjectKeyId, AuthorityKeyId: old.AuthorityKeyId, ExtraExtensions: attributes(old),
	}, authority, old.PublicKey, signer)
	w.must(err)
	dir := w.t.TempDir()
	for folder, content := range map[string][]byte{
		"signcerts": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		"keystore":  w.onlyFile(filepath.Join(enrolled, "keystore")),
	} {
		w.must(os.Mkdir(filepath.Join(dir, folder), 0o700))
		w.must(os.WriteFile(filepath.Join(dir, folder, "file.pem"), content, 0o600))
	}
	return dir
}

func (w *ward) certificate(path string) *x509.Certificate {
	w.t.Helper()
	raw, err := os.ReadFile(path)
	w.must(err)
	certificate, err := identity.CertificateFromPEM(raw)
	w.must(err)
	return certificate
}

// attributes is the extension in which Fabric CA puts an identity's role.
func attributes(certificate *x509.Certificate) []pkix.Extension {
	return slices.DeleteFunc(slices.Clone(certificate.Extensions), func(e pkix.Extension) bool {
		return e.Id.String() != "1.2.3.4.5.6.7.8.1"
	})
}
