package ledgertest_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/ledgertest/internal/program"
)

func TestCertificateIsLikeFabricCAs(t *testing.T) {
	l := open(t, program.Chaincode{})
	id := l.Identity("Hospital1MSP", "trainer1", "trainer", ledgertest.Attribute("ward", "7"))
	attributes, err := attrmgr.New().GetAttributesFromCert(id.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"medfed.role": "trainer", "hf.EnrollmentID": "trainer1", "hf.Type": "client", "ward": "7"} {
		if got, _, _ := attributes.Value(name); got != want {
			t.Errorf("attribute %s = %q, want %q", name, got, want)
		}
	}
	if id.Certificate.SignatureAlgorithm != x509.ECDSAWithSHA256 || id.Certificate.Subject.OrganizationalUnit[0] != "client" {
		t.Errorf("%v, %v", id.Certificate.SignatureAlgorithm, id.Certificate.Subject)
	}
	if !id.Key.PublicKey.Equal(id.Certificate.PublicKey) {
		t.Error("the key is not the certificate's")
	}
	if l.Identity("Hospital1MSP", "trainer1", "trainer", ledgertest.Attribute("ward", "7")) != id {
		t.Error("the same enrolment gave another identity")
	}
	if l.Identity("Hospital1MSP", "trainer1", "coordinator") == id || l.Identity("Hospital2MSP", "trainer1", "trainer") == id {
		t.Error("two enrolments share an identity")
	}
}

func TestWhoIsRefused(t *testing.T) {
	w := newWorld(t)
	mallory := w.Identity("Hospital1MSP", "mallory", "trainer")
	w.Revoke(mallory)
	for name, id := range map[string]*ledgertest.Identity{
		"an organisation outside": ledgertest.Outsider("NobodyMSP", "eve", "trainer"),
		"an impostor's authority": w.Identity("Hospital1MSP", "alice", "trainer", ledgertest.SelfMade()),
		"a revoked certificate":   mallory,
	} {
		_, err := w.Submit(id, "put a 1")
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		wantError(t, err, "access denied: channel [medfed] creator org ["+id.MSP+"]")
	}
	short := w.Identity("Hospital1MSP", "temp", "trainer", ledgertest.Expires(ledgertest.Start.Add(time.Hour)))
	if _, err := w.Submit(short, "put a 1"); err != nil {
		t.Error(err)
	}
	w.Advance(time.Hour + time.Second)
	_, err := w.Submit(short, "put a 1")
	wantError(t, err, "proposal client identity expired")
}

func TestTheSameTestMakesTheSameTransactionIDs(t *testing.T) {
	first, second := newWorld(t).do("put a 1"), newWorld(t).do("put a 1")
	if first.TxID != second.TxID {
		t.Errorf("%s and %s", first.TxID, second.TxID)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := ledgertest.New(nil); err == nil {
		t.Error("no chaincode is accepted")
	}
	for _, option := range []ledgertest.Option{ledgertest.WithPeers(), ledgertest.WithCollections(ledgertest.Collection{Name: "c"}), ledgertest.WithGateway("NobodyMSP")} {
		if _, err := ledgertest.New(program.Chaincode{}, option); err == nil {
			t.Error("a wrong option is accepted")
		}
	}
}
