package network

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
)

// authority is an organisation's Fabric CA. It signs with the CA that cryptogen
// made for the organisation, so the channel accepts whom it enrols.
type authority struct {
	Organisation            *Organisation
	Name                    string // of the process, and of the CA
	Address                 string
	Bind                    string
	Port                    int
	OperationsAddress       string
	TLS                     certificates
	SigningCert, SigningKey string
	Registrar, Secret       string
}

// registrar is the identity that registers all others with a Fabric CA. Its
// role is none of medfed's: the chaincode knows nothing it may do.
const registrar = "registrar"

func (n *Network) newAuthorities() []*authority {
	var all []*authority
	c := n.consortium
	for i := range c.Organisations {
		o := &c.Organisations[i]
		name, host := "ca-"+o.Name, o.caHost()
		cert, key := n.signingCA(o)
		all = append(all, &authority{
			Organisation: o, Name: name,
			Address: address(host, c.port(i, caPort)),
			Bind:    bindHost(host), Port: c.port(i, caPort),
			OperationsAddress: address(loopback, c.port(i, caOperationsPort)),
			TLS:               n.nodeCertificates(o, caServerName),
			SigningCert:       cert, SigningKey: key,
			Registrar: registrar,
		})
	}
	return all
}

func (n *Network) authorityProcess(a *authority) *process {
	dir := n.nodeDir(a.Name)
	return &process{
		name:    a.Name,
		host:    a.Organisation.caHost(),
		program: "fabric-ca-server",
		args:    []string{"start", "--loglevel", "warning"},
		dir:     dir,
		env:     []string{"FABRIC_CA_SERVER_HOME=" + dir},
		ports:   map[string]string{"ca": address(a.Bind, a.Port), "operations": a.OperationsAddress},
		healthy: func(ctx context.Context) error { return n.authorityHealthy(ctx, a) },
	}
}

func (n *Network) authorityHealthy(ctx context.Context, a *authority) error {
	roots, err := certPool(a.TLS.CA)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	var answer struct {
		Success bool `json:"success"`
	}
	if err := getJSON(ctx, &http.Client{Transport: transport}, "https://"+a.Address+"/cainfo", &answer); err != nil {
		return err
	}
	if !answer.Success {
		return errors.New("/cainfo reports no success")
	}
	return nil
}

// awaitAuthority returns when a Fabric CA answers. It waits for one that is slow,
// not for one that is not there.
func (n *Network) awaitAuthority(ctx context.Context, a *authority) error {
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Start)
	defer cancel()
	var last error
	err := poll(limited, func() (bool, error) {
		last = n.authorityHealthy(limited, a)
		var failure net.Error
		if slow := errors.As(last, &failure) && failure.Timeout(); slow {
			return false, nil
		}
		return last == nil, last
	})
	if err != nil && ctx.Err() == nil {
		return codes.Wrapf("MF-NETWORK-DOWN", "the Fabric CA of %s does not answer (%w); bring the network up with medfed network up", a.Organisation.Name, last)
	}
	return err
}

func (n *Network) writeAuthority(a *authority) error {
	secret, err := n.secret(a.Organisation.Name, registrar)
	if err != nil {
		return err
	}
	filled := *a
	filled.Secret = secret
	return n.writeRendered(filepath.Join(n.nodeDir(a.Name), "fabric-ca-server-config.yaml"), "fabric-ca-server-config.yaml", filled)
}

// secret is the enrolment secret of an identity, made on first use. It is
// written down before the CA hears of it, so that an interrupted enrolment can
// be taken up again.
func (n *Network) secret(org, name string) (string, error) {
	return n.token(n.path("secrets", org, name))
}

// token reads a random secret from a file only its owner may read, and makes it
// on first use.
func (n *Network) token(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		return string(raw), nil
	}
	text := rand.Text()
	if err := writeFile(path, []byte(text), 0o600); err != nil {
		return "", n.stateError(err)
	}
	return text, nil
}

// IdentityDir is the MSP folder of an identity, whether it is enrolled or not.
func (n *Network) IdentityDir(org, name string) string { return n.path("identities", org, name) }

// Enrolled is an identity that an organisation's Fabric CA has issued.
type Enrolled struct{ Organisation, Name string }

// Enrolled lists the identities that were enrolled in this network, those of the
// organisations named or of all, in the consortium's order and then by name.
//
// Codes: MF-NETWORK-UNKNOWN (no such organisation), MF-NETWORK-STATE.
func (n *Network) Enrolled(organisations ...string) ([]Enrolled, error) {
	if len(organisations) == 0 {
		for _, o := range n.consortium.Organisations {
			organisations = append(organisations, o.Name)
		}
	}
	var all []Enrolled
	for _, org := range organisations {
		if _, err := n.authority(org); err != nil {
			return nil, err
		}
		folders, err := os.ReadDir(n.path("identities", org))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, n.stateError(err)
		}
		for _, folder := range folders {
			if _, err := os.Stat(filepath.Join(n.IdentityDir(org, folder.Name()), "signcerts", "cert.pem")); err == nil {
				all = append(all, Enrolled{org, folder.Name()})
			}
		}
	}
	return all, nil
}

// Enrol has an organisation's Fabric CA issue a certificate with the attribute
// medfed.role for a new private key, and returns the identity's MSP folder. An
// identity that is enrolled with the same role already is left as it is; one
// whose certificate has expired gets a new one. The CA must run.
//
// Codes: MF-NETWORK-UNKNOWN (no such organisation), MF-NETWORK-IDENTITY (bad
// name or role, or enrolled with another role), MF-NETWORK-DOWN (the CA does not
// answer), MF-NETWORK-TOOL (the CA refused), MF-NETWORK-STATE.
func (n *Network) Enrol(ctx context.Context, org, name, role string) (mspDir string, err error) {
	a, err := n.authority(org)
	if err != nil {
		return "", err
	}
	if err := validIdentity(name, consortium.Role(role)); err != nil || name == registrar {
		return "", codes.Errorf("MF-NETWORK-IDENTITY", "identity %q with role %q can't be enrolled; a name has letters, digits, '.', '_' and '-' and is not %s, a role is one of %v", name, role, registrar, roles)
	}
	dir := n.IdentityDir(org, name)
	unlock, err := n.lock(ctx, filepath.Join(org, name))
	if err != nil {
		return "", err
	}
	defer unlock()
	if enrolled, err := enrolledRole(dir); err == nil {
		if enrolled != role {
			return "", codes.Errorf("MF-NETWORK-IDENTITY", "%s of %s is enrolled as %q, not as %q; choose another name", name, org, enrolled, role)
		}
		return dir, nil
	}
	if err := n.awaitAuthority(ctx, a); err != nil {
		return "", err
	}
	if err := n.enrolRegistrar(ctx, a); err != nil {
		return "", err
	}
	return dir, n.registerAndEnrol(ctx, a, dir, name, role)
}

func (n *Network) authority(org string) (*authority, error) {
	var known []string
	for _, a := range n.authorities {
		if a.Organisation.Name == org {
			return a, nil
		}
		known = append(known, a.Organisation.Name)
	}
	return nil, codes.Errorf("MF-NETWORK-UNKNOWN", "there is no organisation %q; it is one of %s", org, strings.Join(known, ", "))
}

func (n *Network) registrarDir(a *authority) string {
	return filepath.Join(n.nodeDir(a.Name), registrar)
}

// enrolRegistrar gets the registrar its certificate, once.
func (n *Network) enrolRegistrar(ctx context.Context, a *authority) error {
	unlock, err := n.lock(ctx, filepath.Join(a.Organisation.Name, registrar))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := certificate(n.registrarDir(a)); err == nil {
		return nil
	}
	secret, err := n.secret(a.Organisation.Name, registrar)
	if err != nil {
		return err
	}
	return n.enrolInto(ctx, a, n.registrarDir(a), registrar, secret)
}

func (n *Network) registerAndEnrol(ctx context.Context, a *authority, dir, name, role string) error {
	secret, err := n.secret(a.Organisation.Name, name)
	if err != nil {
		return err
	}
	env := []string{"FABRIC_CA_CLIENT_URL=https://" + a.Address, "FABRIC_CA_CLIENT_ID_SECRET=" + secret}
	err = n.caClient(ctx, a, env, "register", "--mspdir", n.registrarDir(a),
		"--id.name", name, "--id.type", "client", "--id.attrs", consortium.RoleAttribute+"="+role+":ecert")
	if err != nil && !strings.Contains(err.Error(), "is already registered") {
		return err
	}
	return n.enrolInto(ctx, a, dir, name, secret)
}

// enrolInto gets a certificate for a new key. The folder is complete as soon as
// it has signcerts, which is put there last.
func (n *Network) enrolInto(ctx context.Context, a *authority, dir, name, secret string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return n.stateError(err)
	}
	made, err := os.MkdirTemp(filepath.Dir(dir), ".enrol-*")
	if err != nil {
		return n.stateError(err)
	}
	defer os.RemoveAll(made)
	env := []string{fmt.Sprintf("FABRIC_CA_CLIENT_URL=https://%s:%s@%s", name, secret, a.Address)}
	if err := n.caClient(ctx, a, env, "enroll", "--mspdir", made, "--csr.names", "O="+a.Organisation.Name, "--csr.hosts", ""); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(made, "config.yaml"), []byte(nodeOUs), 0o600); err != nil {
		return n.stateError(err)
	}
	for _, part := range []string{"cacerts", "config.yaml", "keystore", "signcerts"} {
		err := os.RemoveAll(filepath.Join(dir, part))
		if err == nil {
			err = os.Rename(filepath.Join(made, part), filepath.Join(dir, part))
		}
		if err != nil {
			return n.stateError(err)
		}
	}
	return nil
}

// nodeOUs is an MSP folder's config.yaml: what a certificate is for stands in its
// organizational unit. Fabric's peer command takes no folder without it.
const nodeOUs = `NodeOUs:
  Enable: true
  ClientOUIdentifier: {OrganizationalUnitIdentifier: client}
  PeerOUIdentifier: {OrganizationalUnitIdentifier: peer}
  AdminOUIdentifier: {OrganizationalUnitIdentifier: admin}
  OrdererOUIdentifier: {OrganizationalUnitIdentifier: orderer}
`

// caClient runs fabric-ca-client with a home of its own: it writes its settings
// there. Secrets go by environment, where other users can't read them.
func (n *Network) caClient(ctx context.Context, a *authority, env []string, args ...string) error {
	home, err := os.MkdirTemp(n.path("secrets"), ".client-*")
	if err != nil {
		return n.stateError(err)
	}
	defer os.RemoveAll(home)
	env = append(env, "FABRIC_CA_CLIENT_HOME="+home)
	args = append(args, "--caname", a.Name, "--tls.certfiles", a.TLS.CA, "--loglevel", "warning")
	_, err = n.tool(ctx, env, "fabric-ca-client", args...)
	return err
}

// certificate reads an MSP folder's certificate; it must be valid now.
func certificate(mspDir string) (*x509.Certificate, error) {
	raw, err := os.ReadFile(filepath.Join(mspDir, "signcerts", "cert.pem"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", mspDir)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if now := time.Now(); now.After(cert.NotAfter) {
		return nil, fmt.Errorf("the certificate in %s expired on %s", mspDir, cert.NotAfter)
	}
	return cert, nil
}

// attributesOID marks the certificate extension in which Fabric CA puts attributes.
const attributesOID = "1.2.3.4.5.6.7.8.1"

// EnrolledAs names the identities of an organisation that have been enrolled in the
// state folder with a role, in alphabetical order.
func (n *Network) EnrolledAs(org string, role consortium.Role) []string {
	var names []string
	folders, _ := filepath.Glob(n.IdentityDir(org, "*"))
	for _, folder := range folders {
		if found, err := enrolledRole(folder); err == nil && found == string(role) {
			names = append(names, filepath.Base(folder))
		}
	}
	return names
}

// enrolledRole is the role in an MSP folder's certificate; it fails when there
// is no valid certificate.
func enrolledRole(mspDir string) (string, error) {
	cert, err := certificate(mspDir)
	if err != nil {
		return "", err
	}
	for _, extension := range cert.Extensions {
		if extension.Id.String() != attributesOID {
			continue
		}
		var value struct {
			Attributes map[string]string `json:"attrs"`
		}
		if err := json.Unmarshal(extension.Value, &value); err != nil {
			return "", err
		}
		return value.Attributes[consortium.RoleAttribute], nil
	}
	return "", nil
}
