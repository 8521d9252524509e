package network

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/collections"
)

const defaultConsortium = "../test-network/consortium.yaml"

// loadDefault is the consortium of the test network.
func loadDefault(t testing.TB) *Consortium {
	t.Helper()
	c, err := Load(defaultConsortium)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hasCode fails the test unless err has the code and says each of the words.
func hasCode(t *testing.T, err error, code string, words ...string) {
	t.Helper()
	if err == nil || string(codes.Of(err)) != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error does not say %q: %v", word, err)
		}
	}
}

func TestDefaultConsortium(t *testing.T) {
	c := loadDefault(t)
	n, err := Open(c, t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(n.peers) != 5 || len(n.orderers) != 4 || len(n.authorities) != 8 || len(n.swarms[0].nodes) != 5 || len(n.swarms[1].nodes) != 2 {
		t.Errorf("%d peers, %d orderers, %d CAs, %d private and %d public IPFS nodes",
			len(n.peers), len(n.orderers), len(n.authorities), len(n.swarms[0].nodes), len(n.swarms[1].nodes))
	}
	want := "OutOf(3, 'Hospital1MSP.peer', 'Hospital2MSP.peer', 'Hospital3MSP.peer', 'Hospital4MSP.peer', 'ResearchCentreMSP.peer')"
	if c.endorsement() != want {
		t.Errorf("endorsement is %s, want %s", c.endorsement(), want)
	}
	for _, name := range []string{"orderer1", "orderer4", "peer-hospital1", "chaincode-researchcentre", "ca-auditor", "ipfs-hospital4", "ipfs-public2"} {
		if _, err := n.process(name); err != nil {
			t.Error(err)
		}
	}
}

// What consortium.yaml may leave out has the value the default one spells out.
func TestDefaults(t *testing.T) {
	full := loadDefault(t)
	sparse := *full
	sparse.BasePort, sparse.Ordering, sparse.Timeouts, sparse.Chaincode.Endorsement = 0, Ordering{}, Timeouts{}, ""
	sparse.setDefaults()
	if sparse.BasePort != full.BasePort || sparse.Ordering != full.Ordering || sparse.Timeouts != full.Timeouts || sparse.Chaincode != full.Chaincode {
		t.Errorf("defaults differ:\n%+v\n%+v", sparse, full)
	}
}

func TestLoadRefuses(t *testing.T) {
	raw, err := os.ReadFile(defaultConsortium)
	if err != nil {
		t.Fatal(err)
	}
	const firstHost = "    kind: hospital\n    host: 127.0.0.1\n"
	for name, c := range map[string]struct{ old, new, says string }{
		"misspelt field":        {"basePort: 17000", "baseport: 17000", "baseport"},
		"no number":             {"basePort: 17000", "basePort: many", "many"},
		"port too high":         {"basePort: 17000", "basePort: 65500", "65535"},
		"port too low":          {"basePort: 17000", "basePort: 80", "1024"},
		"no name":               {"name: medfed\ndomain", "domain", "name"},
		"upper-case channel":    {"channel: medfed", "channel: Medfed", "Medfed"},
		"bad domain":            {"domain: medfed.test", "domain: medfed..test", "medfed..test"},
		"organisation twice":    {"name: hospital2", "name: hospital1", "hospital1"},
		"MSP identifier twice":  {"msp: Hospital2MSP", "msp: Hospital1MSP", "Hospital1MSP"},
		"orderer's MSP taken":   {"msp: InsurerMSP", "msp: Hospital1OrdererMSP", "Hospital1OrdererMSP"},
		"path as name":          {"name: hospital1", "name: ../hospital1", "../hospital1"},
		"unknown kind":          {"kind: auditor", "kind: observer", "observer"},
		"bad host":              {firstHost, "    kind: hospital\n    host: \"a b\"\n", "a b"},
		"bad node host":         {firstHost, firstHost + "    hosts: {ca: \"a b\"}\n", "a b"},
		"unknown role":          {"role: coordinator", "role: boss", "boss"},
		"identity twice":        {"name: node2", "name: node1", "node1"},
		"registrar's name":      {"name: coordinator", "name: registrar", "registrar"},
		"three orderers":        {firstHost + "    orderer: true\n", firstHost, "3 orderers"},
		"bad MSP identifier":    {"msp: Hospital1MSP", "msp: Hospital-1", "Hospital-1"},
		"no such collection":    {"grants: {blockToLive: 0}", "clusterOfTrust: {blockToLive: 0}", "clusterOfTrust"},
		"public node taken":     {"name: public1", "name: hospital1", "hospital1"},
		"negative time":         {"batchInterval: 100ms", "batchInterval: -1s", "-1s"},
		"complain before":       {"requestComplainTimeout: 3s", "requestComplainTimeout: 1s", "requestComplainTimeout"},
		"no messages":           {"maxMessages: 500", "maxMessages: -1", "maxMessages"},
		"blocks below nothing":  {"blockToLive: 0", "blockToLive: -1", "-1"},
		"version with a blank":  {`version: "1.0"`, `version: "1 0"`, "1 0"},
		"organisations a word":  {"organisations:", "organisations: none\nothers:", "none"},
		"public node bad host":  {"{name: public1, host: 127.0.0.1}", "{name: public1, host: /}", "/"},
		"public node bad name":  {"{name: public1, host: 127.0.0.1}", "{name: Public, host: 127.0.0.1}", "Public"},
		"identity with a slash": {"name: coordinator", "name: a/b", "a/b"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(raw), c.old, c.new, 1)
			if changed == string(raw) {
				t.Fatalf("%q is not in %s", c.old, defaultConsortium)
			}
			path := filepath.Join(t.TempDir(), "consortium.yaml")
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			hasCode(t, err, "MF-NETWORK-CONSORTIUM", c.says, path)
		})
	}
	_, err = Load(filepath.Join(t.TempDir(), "none.yaml"))
	hasCode(t, err, "MF-NETWORK-CONSORTIUM", "none.yaml")
}

// A consortium without a member has nobody to run a peer.
func TestMembersAreNeeded(t *testing.T) {
	c := loadDefault(t)
	for i := range c.Organisations {
		c.Organisations[i].Kind = collections.Partner
	}
	_, err := Open(c, t.TempDir(), t.TempDir())
	hasCode(t, err, "MF-NETWORK-CONSORTIUM", "peer")
}

// Whatever the consortium, no two processes share a port, none has two for the
// same use, and all lie in the span that validate checks.
func TestPortsAreDisjoint(t *testing.T) {
	kinds := []collections.Kind{collections.Hospital, collections.ResearchCentre, collections.Partner, collections.Auditor}
	rapid.Check(t, func(t *rapid.T) {
		c := &Consortium{Name: "x", Domain: "x.test", Channel: "x", Chaincode: Chaincode{Name: "x", Version: "1"}, BasePort: rapid.IntRange(1024, 40000).Draw(t, "base")}
		c.IPFS.Private = rapid.Bool().Draw(t, "private")
		for i := range rapid.IntRange(4, 30).Draw(t, "organisations") {
			o := Organisation{Orderer: i < 4 || rapid.Bool().Draw(t, "orderer")}
			o.Name, o.MSP, o.Kind = "o"+string(rune('a'+i%26))+strings.Repeat("x", i/26), "M"+string(rune('a'+i%26))+strings.Repeat("x", i/26), kinds[0]
			if i > 0 {
				o.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
			}
			c.Organisations = append(c.Organisations, o)
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "public") {
			c.IPFS.Public = append(c.IPFS.Public, PublicNode{Name: "public" + string(rune('a'+i))})
		}
		n, err := Open(c, "state", "bin")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]string{}
		for _, p := range n.processes {
			for use, where := range p.ports {
				if other, taken := seen[where]; taken {
					t.Fatalf("%s of %s is %s's too", where, p.name, other)
				}
				seen[where] = p.name + " " + use
			}
		}
		for i := range c.portCount() {
			delete(seen, address(loopback, c.BasePort+i))
		}
		if len(seen) != 0 {
			t.Fatalf("outside of the span: %v", seen)
		}
	})
}

// However many public IPFS nodes and members there are, an erasure reaches each node
// through the profile of a member.
func TestEveryPublicNodeIsInAMembersProfile(t *testing.T) {
	kinds := []collections.Kind{collections.Hospital, collections.ResearchCentre, collections.Partner, collections.Auditor}
	rapid.Check(t, func(t *rapid.T) {
		c := &Consortium{Name: "x", Domain: "x.test", Channel: "x", Chaincode: Chaincode{Name: "x", Version: "1"}, BasePort: 20000}
		for i := range rapid.IntRange(4, 12).Draw(t, "organisations") {
			o := Organisation{Orderer: true}
			o.Name, o.MSP, o.Kind = "o"+string(rune('a'+i)), "M"+string(rune('a'+i)), kinds[0]
			if i > 0 {
				o.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
			}
			c.Organisations = append(c.Organisations, o)
		}
		for i := range rapid.IntRange(1, 20).Draw(t, "public") {
			c.IPFS.Public = append(c.IPFS.Public, PublicNode{Name: "public" + string(rune('a'+i))})
		}
		n, err := Open(c, "state", "bin")
		if err != nil {
			t.Fatal(err)
		}
		reached := map[string]bool{}
		for i, o := range c.Organisations {
			nodes := n.profileIPFS(i)
			if nodes.Public == nil {
				t.Fatalf("%s has no public node", o.Name)
			}
			if !o.Kind.Member() {
				continue
			}
			for _, node := range append(nodes.PublicErased, *nodes.Public) {
				reached[node.URL] = true
			}
		}
		if len(reached) != len(c.IPFS.Public) {
			t.Fatalf("members reach %d public nodes of %d", len(reached), len(c.IPFS.Public))
		}
	})
}

// A network's ports are where a base port and a constant put them: profiles,
// firewalls and people rely on it.
func TestPortsOfFirstOrganisation(t *testing.T) {
	c := loadDefault(t)
	c.BasePort = 20000
	n, err := Open(c, t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{
		"orderer1":            {"orderer": "127.0.0.1:20000", "admin": "127.0.0.1:20001", "operations": "127.0.0.1:20002"},
		"peer-hospital1":      {"peer": "127.0.0.1:20003", "chaincode": "127.0.0.1:20004", "operations": "127.0.0.1:20005"},
		"chaincode-hospital1": {"chaincode": "127.0.0.1:20006"},
		"ca-hospital1":        {"ca": "127.0.0.1:20007", "operations": "127.0.0.1:20008"},
		"ipfs-hospital1":      {"swarm": "127.0.0.1:20009", "rpc": "127.0.0.1:20010"},
		"peer-hospital2":      {"peer": "127.0.0.1:20023", "chaincode": "127.0.0.1:20024", "operations": "127.0.0.1:20025"},
		"ipfs-public2":        {"swarm": "127.0.0.1:20162", "rpc": "127.0.0.1:20163"},
	}
	for name, ports := range want {
		p, err := n.process(name)
		if err != nil {
			t.Fatal(err)
		}
		for use, where := range ports {
			if p.ports[use] != where {
				t.Errorf("%s %s is %s, want %s", name, use, p.ports[use], where)
			}
		}
	}
}

// Nodes on other hosts are reached there; what only their own machine may reach
// stays on loopback.
func TestHostsOfNodes(t *testing.T) {
	c := loadDefault(t)
	o := &c.Organisations[0]
	o.Host, o.Hosts = "hospital1.example", Hosts{Orderer: "192.0.2.7", IPFS: "2001:db8::1"}
	n, err := Open(c, t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct{ what, got, want string }{
		{"peer", n.peers[0].Address, "hospital1.example:17003"},
		{"peer listens", n.peers[0].BindAddress, "0.0.0.0:17003"},
		{"chaincode service", n.peers[0].ServiceAddress, "127.0.0.1:17006"},
		{"orderer", n.orderers[0].Address, "192.0.2.7:17000"},
		{"orderer listens", n.orderers[0].Bind, "192.0.2.7"},
		{"orderer's administration", n.orderers[0].AdminAddress, "127.0.0.1:17001"},
		{"CA", n.authorities[0].Address, "hospital1.example:17007"},
		{"IPFS swarm", multiaddr(n.swarms[0].nodes[0].Host, 17009), "/ip6/2001:db8::1/tcp/17009"},
		{"IPFS RPC", n.swarms[0].nodes[0].rpc(), "127.0.0.1:17010"},
	} {
		if check.got != check.want {
			t.Errorf("%s: %s, want %s", check.what, check.got, check.want)
		}
	}
}

// The state of a network goes with what it was made from; what may change later
// does not count.
func TestMadeFrom(t *testing.T) {
	state := t.TempDir()
	made := func(change func(*Consortium)) string {
		c := loadDefault(t)
		change(c)
		n, err := Open(c, state, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return n.madeFrom()
	}
	same := made(func(*Consortium) {})
	for name, change := range map[string]func(*Consortium){
		"version":     func(c *Consortium) { c.Chaincode.Version = "2.0" },
		"endorsement": func(c *Consortium) { c.Chaincode.Endorsement = "OR('Hospital1MSP.peer')" },
		"collections": func(c *Consortium) { c.Collections.Records.BlockToLive = 9 },
		"identities":  func(c *Consortium) { c.Organisations[0].Identities = nil },
		"timeouts":    func(c *Consortium) { c.Timeouts.Start = time.Hour },
	} {
		if made(change) != same {
			t.Errorf("%s can change, but counts", name)
		}
	}
	for name, change := range map[string]func(*Consortium){
		"base port":      func(c *Consortium) { c.BasePort++ },
		"batch interval": func(c *Consortium) { c.Ordering.BatchInterval++ },
		"host":           func(c *Consortium) { c.Organisations[0].Hosts.CA = "127.0.0.2" },
		"organisation":   func(c *Consortium) { c.Organisations = c.Organisations[:7] },
		"IPFS":           func(c *Consortium) { c.IPFS.Public = nil },
		"chaincode":      func(c *Consortium) { c.Chaincode.Name = "other" },
	} {
		if made(change) == same {
			t.Errorf("%s can't change, but does not count", name)
		}
	}
}

// The release named is the commit pinned.
func TestFabricVersion(t *testing.T) {
	pinned := map[string]string{"3.1.1": "github.com/hyperledger/fabric v1.4.0-rc1.0.20250510200036-435a7f1a780a"}
	raw, err := os.ReadFile(filepath.Join("tools", "servers", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if commit := pinned[FabricVersion]; commit == "" || !strings.Contains(string(raw), commit+" ") {
		t.Errorf("tools/servers/go.mod does not pin Fabric %s (%q)", FabricVersion, commit)
	}
}
