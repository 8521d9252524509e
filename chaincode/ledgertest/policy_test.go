package ledgertest_test

import (
	"strings"
	"testing"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/statebased"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/ledgertest/internal/program"
)

func TestPolicyLanguage(t *testing.T) {
	for text, want := range map[string]string{
		`AND('A.member', 'B.peer')`:                            `OutOf(2, 'A.member', 'B.peer')`,
		`OR("A.admin","B.client", 'C.orderer')`:                `OutOf(1, 'A.admin', 'B.client', 'C.orderer')`,
		`OutOf(2, 'A.peer', AND('B.peer','C.peer'), 'D.peer')`: `OutOf(2, 'A.peer', OutOf(2, 'B.peer', 'C.peer'), 'D.peer')`,
		` outof( '1' , 'Org-1.example.com.peer' ) `:            `OutOf(1, 'Org-1.example.com.peer')`,
	} {
		p, err := ledgertest.ParsePolicy(text)
		if err != nil || p.String() != want {
			t.Errorf("%s is %s, %v", text, p, err)
			continue
		}
		again, err := ledgertest.PolicyOf(p.Bytes())
		if err != nil || again.String() != want {
			t.Errorf("%s comes back as %s, %v", text, again, err)
		}
	}
}

func TestPolicyMistakes(t *testing.T) {
	for _, text := range []string{
		``, `'A.peer'`, `AND()`, `AND('A.peer'`, `AND('A.peer') x`, `AND('A.king')`, `AND(A.peer)`, `XOR('A.peer','B.peer')`,
		`OutOf('A.peer')`, `OutOf(3, 'A.peer')`, `OutOf(1 'A.peer')`, `AND('A.peer';'B.peer')`,
	} {
		if p, err := ledgertest.ParsePolicy(text); err == nil {
			t.Errorf("%s is accepted as %s", text, p)
		}
	}
	for _, bytes := range [][]byte{{0xff}, {}, {0x12, 0x02, 0x08, 0x07}} {
		if _, err := ledgertest.PolicyOf(bytes); err == nil {
			t.Errorf("%x is accepted", bytes)
		}
	}
	if p := ledgertest.MustPolicy("OR('B.peer','A.peer','B.admin')"); strings.Join(p.Organisations(), " ") != "A B" {
		t.Errorf("organisations %v", p.Organisations())
	}
}

// Each endorser counts once, and of one organisation a second peer does not
// stand in for another organisation's.
func TestPolicyDecides(t *testing.T) {
	for _, c := range []struct {
		policy string
		on     []string
		valid  bool
	}{
		{"AND('AMSP.peer','BMSP.peer')", []string{"AMSP"}, false},
		{"AND('AMSP.peer','BMSP.peer')", []string{"AMSP", "BMSP"}, true},
		{"OR('AMSP.peer','BMSP.peer')", []string{"BMSP"}, true},
		{"OR('AMSP.peer','BMSP.peer')", []string{"CMSP"}, false},
		{"OR('AMSP.member')", []string{"AMSP"}, true},
		{"OR('AMSP.client')", []string{"AMSP"}, false},
		{"OR('AMSP.admin')", []string{"AMSP"}, false},
		{"AND('AMSP.peer','AMSP.peer')", []string{"AMSP"}, true}, // AMSP has two peers
		{"AND('AMSP.peer','AMSP.peer','AMSP.peer')", []string{"AMSP"}, false},
		{"AND('BMSP.peer','BMSP.member')", []string{"BMSP"}, false},
		{"OutOf(2,'AMSP.peer','BMSP.peer','CMSP.peer')", []string{"BMSP", "CMSP"}, true},
		{"OR('AMSP.peer',AND('BMSP.peer','CMSP.peer'))", []string{"BMSP"}, false},
		{"OutOf(0,'AMSP.peer')", []string{"BMSP"}, true},
	} {
		l := open(t, program.Chaincode{}, ledgertest.WithPeers("AMSP", "AMSP", "BMSP", "CMSP"), ledgertest.WithPolicy(ledgertest.MustPolicy(c.policy)))
		result, err := l.Propose(l.Identity("AMSP", "alice", ""), "put a 1").On(c.on...).Submit()
		if result == nil {
			t.Fatal(err)
		}
		if result.Valid() != c.valid {
			t.Errorf("%s with %v: %s", c.policy, c.on, result.Code)
		}
	}
}

func TestAdminsAreNoPeers(t *testing.T) {
	c := ledgertest.Collection{Name: "board", Members: ledgertest.MustPolicy("OR('AMSP.admin')"), MemberOnlyRead: true}
	l := open(t, program.Chaincode{}, ledgertest.WithPeers("AMSP"), ledgertest.WithCollections(c), ledgertest.WithNames("other", "records"))
	if _, err := l.Evaluate(l.Identity("AMSP", "root", "", ledgertest.Admin()), "pget board k"); err != nil {
		t.Error(err)
	}
	_, err := l.Evaluate(l.Identity("AMSP", "alice", ""), "pget board k")
	wantError(t, err, "does not have read access permission on privatedata in chaincodeName:records collectionName: board")
}

func TestDefaultPolicyIsTheMajorityOfOrganisations(t *testing.T) {
	l := open(t, program.Chaincode{}, ledgertest.WithPeers("AMSP", "AMSP", "AMSP", "BMSP", "CMSP"))
	alice := l.Identity("AMSP", "alice", "")
	if result, _ := l.Propose(alice, "put a 1").On("AMSP").Submit(); result.Valid() {
		t.Error("three peers of one organisation were a majority")
	}
	if _, err := l.Propose(alice, "put a 1").On("BMSP", "CMSP").Submit(); err != nil {
		t.Error(err)
	}
}

// The bytes that chaincode-go's own builder makes are read as they are meant.
func TestValidationParameterOfTheShim(t *testing.T) {
	ep, err := statebased.NewStateEP(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ep.AddOrgs(statebased.RoleTypePeer, "BMSP", "AMSP"); err != nil {
		t.Fatal(err)
	}
	serialised, err := ep.Policy()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ledgertest.PolicyOf(serialised)
	if err != nil || p.String() != "OutOf(2, 'AMSP.peer', 'BMSP.peer')" {
		t.Errorf("%s, %v", p, err)
	}
	if string(ledgertest.OutOf(2, "AMSP", "BMSP").Bytes()) != string(serialised) {
		t.Error("OutOf makes other bytes than the shim")
	}
}
