package network

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/collections"
)

var update = flag.Bool("update", false, "write the files in testdata from what is generated")

// The configurations of the default network, in a state folder /state, are those
// in testdata. After an intended change: go test ./network -update
func TestGeneratedConfigurations(t *testing.T) {
	n, err := Open(loadDefault(t), "/state", "/bin")
	if err != nil {
		t.Fatal(err)
	}
	authority := *n.authorities[0]
	authority.Secret = "the secret"
	for name, c := range map[string]struct {
		template string
		data     any
	}{
		"crypto-config.yaml":  {"crypto-config.yaml", n.cryptoConfig()},
		"configtx.yaml":       {"configtx.yaml", n.channelConfig()},
		"orderer1.yaml":       {"orderer.yaml", n.orderers[0]},
		"peer-hospital1.yaml": {"core.yaml", n.peers[0]},
		"ca-hospital1.yaml":   {"fabric-ca-server-config.yaml", authority},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render(c.template, c.data)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got)
			if err := yaml.Unmarshal(got, &map[string]any{}); err != nil {
				t.Errorf("not YAML: %v", err)
			}
		})
	}
}

// golden compares with a file in testdata, or writes it under -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := writeFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is generated; see the change and run: go test ./network -update\n%s", path, got)
	}
}

// Folders may have any name.
func TestConfigurationsWithOddFolder(t *testing.T) {
	n, err := Open(loadDefault(t), `/a "b": {c} # d 'é`, "/bin")
	if err != nil {
		t.Fatal(err)
	}
	for template, data := range map[string]any{
		"crypto-config.yaml": n.cryptoConfig(), "configtx.yaml": n.channelConfig(), "orderer.yaml": n.orderers[0],
		"core.yaml": n.peers[0], "fabric-ca-server-config.yaml": n.authorities[0],
	} {
		got, err := render(template, data)
		if err != nil {
			t.Fatal(err)
		}
		var content map[string]any
		if err := yaml.Unmarshal(got, &content); err != nil {
			t.Fatalf("%s: %v", template, err)
		}
		if template == "core.yaml" && content["peer"].(map[string]any)["fileSystemPath"] != n.peers[0].Data {
			t.Errorf("fileSystemPath is %v", content["peer"])
		}
	}
}

// The same bytes, and so the same package ID, every time and everywhere.
func TestPackageID(t *testing.T) {
	n, err := Open(loadDefault(t), t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const want = "medfed:"
	first, second := n.packageID(), n.packageID()
	if first != second || !strings.HasPrefix(first, want) || len(first) != len(want)+64 {
		t.Errorf("package IDs %s and %s", first, second)
	}
	golden(t, "package-id.txt", []byte(first+"\n"))
}

func TestWriteConnection(t *testing.T) {
	n, err := Open(loadDefault(t), t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := n.peers[0]
	for path, content := range map[string]string{p.TLS.Key: "peer key", p.TLS.Cert: "peer cert", p.ServiceTLS.CA: "service ca"} {
		if err := writeFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.writeConnection(p); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(n.connectionFile(p))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"address": "127.0.0.1:17006", "domain": "chaincode.hospital1.medfed.test", "dial_timeout": "10s",
		"tls_required": true, "client_auth_required": true,
		"client_key": "peer key", "client_cert": "peer cert", "root_cert": "service ca",
	}
	for field, value := range want {
		if got[field] != value {
			t.Errorf("%s is %v, want %v", field, got[field], value)
		}
	}
	if info, err := os.Stat(n.connectionFile(p)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the private key has mode %v, %v", info.Mode(), err)
	}
}

// A profile holds the certificates of the servers, and names an organisation's own
// peer for its clients, the research centre's for those without one.
func TestProfiles(t *testing.T) {
	n, err := Open(loadDefault(t), t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	hasCode(t, n.writeProfile(0), "MF-NETWORK-STATE", "ca.crt")
	for i := range n.consortium.Organisations {
		o := &n.consortium.Organisations[i]
		for _, node := range []string{peerName, caServerName} {
			if err := writeFile(n.nodeCertificates(o, node).CA, []byte("certificate of the CA of "+o.Name+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, o := range n.consortium.Organisations {
		if err := n.writeProfile(i); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(n.Profile(o.Name))
		if err != nil {
			t.Fatal(err)
		}
		var p profile
		if err := yaml.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		gateway, private := "peer.researchcentre.medfed.test", o.Kind.Member()
		if o.Kind.Member() {
			gateway = "peer." + o.Name + ".medfed.test"
		}
		own := p.Organizations[p.Client.Organization]
		if own.MSP != o.MSP || len(own.Peers) != 1 || own.Peers[0] != gateway || own.Authorities[0] != "ca-"+o.Name {
			t.Errorf("%s: %+v", o.Name, own)
		}
		if has := p.Medfed.IPFS.Private != nil; has != private {
			t.Errorf("%s: private IPFS node: %t", o.Name, has)
		}
		if has := p.Medfed.DocumentKeys == n.path("keys", o.Name); has != (o.Kind == collections.Hospital) {
			t.Errorf("%s: keys of private documents in %q", o.Name, p.Medfed.DocumentKeys)
		}
		if p.Medfed.IPFS.Public == nil {
			t.Errorf("%s: no public IPFS node", o.Name)
		}
		if len(p.Peers) != 5 || len(p.Channels["medfed"].Peers) != 5 {
			t.Errorf("%s: %d peers, %d in the channel", o.Name, len(p.Peers), len(p.Channels["medfed"].Peers))
		}
		if pem := p.Peers[gateway].TLSCACerts.PEM; !strings.HasPrefix(gateway, "peer."+strings.TrimPrefix(strings.TrimSpace(pem), "certificate of the CA of ")+".") {
			t.Errorf("%s: the certificate of %s is %q", o.Name, gateway, pem)
		}
		if i == 0 || o.Name == "insurer" {
			golden(t, "profile-"+o.Name+".yaml", bytes.ReplaceAll(raw, []byte(n.state), []byte("/state")))
		}
	}
}

// Settings are laid over what ipfs init wrote, field by field.
func TestMerge(t *testing.T) {
	config := section{"Swarm": section{"A": 1, "Transports": section{"Network": section{"TCP": true, "QUIC": true}}}, "Other": "kept"}
	merge(config, "Swarm", section{"B": 2, "Transports": section{"Network": section{"QUIC": false}}})
	merge(config, "New", section{"C": 3})
	got, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"New":{"C":3},"Other":"kept","Swarm":{"A":1,"B":2,"Transports":{"Network":{"QUIC":false,"TCP":true}}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNodeSettings(t *testing.T) {
	n, err := Open(loadDefault(t), t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	private := n.swarms[0]
	got, err := json.MarshalIndent(nodeSettings(private, private.nodes[1], []string{"id0", "id1", "id2", "id3", "id4"}, 1, "the token"), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "ipfs-hospital2.json", append(got, '\n'))
	env := strings.Join(n.ipfsEnvironment(private, private.nodes[1]), " ")
	if !strings.Contains(env, "LIBP2P_FORCE_PNET=1") || !strings.Contains(env, "IPFS_TELEMETRY=off") {
		t.Errorf("environment of a private node: %s", env)
	}
	if env := strings.Join(n.ipfsEnvironment(n.swarms[1], n.swarms[1].nodes[0]), " "); strings.Contains(env, "PNET") {
		t.Errorf("environment of a public node: %s", env)
	}
}

func TestMultiaddr(t *testing.T) {
	for host, want := range map[string]string{"127.0.0.1": "/ip4/127.0.0.1/tcp/1", "::1": "/ip6/::1/tcp/1", "a.example": "/dns/a.example/tcp/1"} {
		if got := multiaddr(host, 1); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// A certificate counts as enrolled only while it is valid.
func TestEnrolledRole(t *testing.T) {
	for name, c := range map[string]struct {
		days       int
		attributes string
		role       string
		enrolled   bool
	}{
		"trainer":       {1, `{"attrs":{"medfed.role":"trainer","hf.Type":"client"}}`, "trainer", true},
		"no role":       {1, `{"attrs":{"hf.Type":"client"}}`, "", true},
		"no attributes": {1, "", "", true},
		"expired":       {-1, `{"attrs":{"medfed.role":"trainer"}}`, "", false},
		"garbage":       {1, `{`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			der := certificateWith(t, c.days, c.attributes)
			cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
			if err := writeFile(filepath.Join(dir, "signcerts", "cert.pem"), cert, 0o600); err != nil {
				t.Fatal(err)
			}
			role, err := enrolledRole(dir)
			if role != c.role || (err == nil) != c.enrolled {
				t.Errorf("role %q, %v", role, err)
			}
		})
	}
	if _, err := enrolledRole(t.TempDir()); err == nil {
		t.Error("an empty folder is an identity")
	}
}
