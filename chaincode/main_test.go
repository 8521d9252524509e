package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/contract"
)

// authority is a CA of one test and the files it signed.
type authority struct {
	t           *testing.T
	folder      string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, folder: t.TempDir()}
	a.key, a.certificate = a.issue("ca", nil, nil)
	return a
}

// issue signs a certificate, its own without a parent, and writes NAME.pem and
// NAME.key.
func (a *authority) issue(name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, certificate
}

func (a *authority) write(name string, bytes []byte) {
	if err := os.WriteFile(a.file(name), bytes, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.folder, name) }

// environment is what a service needs, with changes in pairs of name and value.
func (a *authority) environment(changes ...string) func(string) string {
	values := map[string]string{
		"CHAINCODE_SERVER_ADDRESS": "127.0.0.1:0", "CHAINCODE_ID": "medfed_1:abc",
		"CHAINCODE_TLS_KEY": a.file("service.key"), "CHAINCODE_TLS_CERT": a.file("service.pem"),
		"CHAINCODE_CLIENT_CA_CERT": a.file("ca.pem"),
	}
	for i := 0; i < len(changes); i += 2 {
		values[changes[i]] = changes[i+1]
	}
	return func(name string) string { return values[name] }
}

func TestHalfConfiguredServicesDoNotStart(t *testing.T) {
	a := newAuthority(t)
	a.issue("service", a.certificate, a.key)
	a.issue("other", a.certificate, a.key)
	a.write("empty", nil)
	off := []string{"CHAINCODE_TLS_KEY", "", "CHAINCODE_TLS_CERT", "", "CHAINCODE_CLIENT_CA_CERT", ""}
	for _, c := range []struct {
		name    string
		changes []string
		says    string
	}{
		{"nothing", append([]string{"CHAINCODE_SERVER_ADDRESS", "", "CHAINCODE_ID", ""}, off...), "CHAINCODE_SERVER_ADDRESS is not set"},
		{"no address", []string{"CHAINCODE_SERVER_ADDRESS", ""}, "CHAINCODE_SERVER_ADDRESS is not set"},
		{"no address, launched", []string{"CHAINCODE_SERVER_ADDRESS", "", "CORE_CHAINCODE_ID_NAME", "x"}, "CHAINCODE_SERVER_ADDRESS is not set"},
		{"no id", []string{"CHAINCODE_ID", ""}, "CHAINCODE_ID is not set"},
		{"no key", []string{"CHAINCODE_TLS_KEY", ""}, "CHAINCODE_TLS_KEY is not set"},
		{"no certificate", []string{"CHAINCODE_TLS_CERT", ""}, "CHAINCODE_TLS_CERT is not set"},
		{"no client CA", []string{"CHAINCODE_CLIENT_CA_CERT", ""}, "CHAINCODE_CLIENT_CA_CERT is not set"},
		{"no TLS", off, "CHAINCODE_TLS_KEY is not set"},
		{"TLS on and off", []string{"CHAINCODE_TLS_DISABLED", "true"}, "CHAINCODE_TLS_KEY is set while"},
		{"TLS perhaps", []string{"CHAINCODE_TLS_DISABLED", "maybe"}, "neither true nor false"},
		{"key not there", []string{"CHAINCODE_TLS_KEY", a.file("absent")}, "can't be read"},
		{"another's key", []string{"CHAINCODE_TLS_KEY", a.file("other.key")}, "no pair"},
		{"certificate empty", []string{"CHAINCODE_TLS_CERT", a.file("empty")}, "no pair"},
		{"client CA empty", []string{"CHAINCODE_CLIENT_CA_CERT", a.file("empty")}, "without certificates"},
	} {
		server, err := configure(a.environment(c.changes...))
		if err == nil || server != nil || codes.Of(err) != "MF-CHAINCODE-CONFIG" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

func TestConfiguredServices(t *testing.T) {
	a := newAuthority(t)
	a.issue("service", a.certificate, a.key)
	server, err := configure(a.environment())
	if err != nil {
		t.Fatal(err)
	}
	if server.CCID != "medfed_1:abc" || server.Address != "127.0.0.1:0" || server.TLSProps.Disabled || len(server.TLSProps.ClientCACerts) == 0 {
		t.Errorf("%+v", server)
	}
	off, err := configure(a.environment("CHAINCODE_TLS_DISABLED", "true", "CHAINCODE_TLS_KEY", "", "CHAINCODE_TLS_CERT", "", "CHAINCODE_CLIENT_CA_CERT", ""))
	if err != nil || !off.TLSProps.Disabled {
		t.Errorf("%+v, %v", off, err)
	}
	launched, err := configure(func(name string) string { return map[string]string{"CORE_CHAINCODE_ID_NAME": "medfed"}[name] })
	if err != nil || launched != nil {
		t.Errorf("%+v, %v", launched, err)
	}
}

// TestServiceTakesOnlyClientsOfTheCA serves on a loopback port and shakes hands
// with no certificate, a stranger's and a peer's.
func TestServiceTakesOnlyClientsOfTheCA(t *testing.T) {
	a := newAuthority(t)
	a.issue("service", a.certificate, a.key)
	a.issue("peer", a.certificate, a.key)
	stranger := newAuthority(t)
	stranger.issue("peer", stranger.certificate, stranger.key)
	address := freeAddress(t)
	server, err := configure(a.environment("CHAINCODE_SERVER_ADDRESS", address))
	if err != nil {
		t.Fatal(err)
	}
	if server.CC, err = contract.New(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Start() }()
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	for _, c := range []struct {
		name    string
		client  *authority
		welcome bool
	}{{"none", nil, false}, {"stranger", stranger, false}, {"peer", a, true}} {
		config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
		if c.client != nil {
			pair, err := tls.LoadX509KeyPair(c.client.file("peer.pem"), c.client.file("peer.key"))
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		if err := greet(address, config, ended); (err == nil) != c.welcome {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// greet shakes hands and waits for the server's first byte: with TLS 1.3 a
// client learns only then that it was refused.
func greet(address string, config *tls.Config, ended <-chan error) error {
	var connection net.Conn
	for {
		var err error
		if connection, err = net.DialTimeout("tcp", address, time.Second); err == nil {
			break
		}
		select { // the listener is not up yet
		case failed := <-ended:
			return failed
		case <-time.After(5 * time.Millisecond):
		}
	}
	defer connection.Close() //nolint:errcheck // a test's connection
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	secured := tls.Client(connection, config)
	if err := secured.Handshake(); err != nil {
		return err
	}
	_, err := secured.Read(make([]byte, 1))
	return err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // only its address is wanted
	return listener.Addr().String()
}
