package network

import (
	"path/filepath"
	"strings"
	"testing"
)

// What peer needs, for a member, for one of its identities, and for an
// organisation without a peer or an orderer.
func TestEnvironmentOfPeer(t *testing.T) {
	n, err := Open(loadDefault(t), t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Environment("hospital2", "")
	hasCode(t, err, "MF-NETWORK-DOWN")
	if err := n.writeRecord(record{Made: n.madeFrom()}); err != nil {
		t.Fatal(err)
	}
	_, err = n.Environment("clinic", "")
	hasCode(t, err, "MF-NETWORK-UNKNOWN", "hospital2")
	_, err = n.Environment("hospital2", "node1")
	hasCode(t, err, "MF-NETWORK-IDENTITY", "node1", "hospital2")

	member, partner := &n.consortium.Organisations[1], &n.consortium.Organisations[5]
	for _, msp := range []string{n.adminMSP(member), n.IdentityDir("hospital2", "node1"), n.adminMSP(partner)} {
		if err := writeFile(filepath.Join(msp, "signcerts", "cert.pem"), []byte("certificate"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	for _, who := range [][2]string{{"hospital2", ""}, {"hospital2", "node1"}, {"insurer", ""}} {
		variables, err := n.Environment(who[0], who[1])
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(strings.Join(who[:], " ") + "\n")
		for _, v := range variables {
			out.WriteString("  " + v.Name + " " + strings.ReplaceAll(v.Value, n.state, "/state") + "\n")
		}
	}
	golden(t, "environment.txt", []byte(out.String()))

	other := loadDefault(t)
	other.BasePort++
	moved, err := Open(other, n.state, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = moved.Environment("hospital2", "")
	hasCode(t, err, "MF-NETWORK-CHANGED")
}
