package session_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/session"
)

// profileWith is a connection profile of an organisation with an x-medfed section's
// IPFS nodes, in a folder of its own.
func profileWith(t *testing.T, ipfs string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profile.yaml")
	text := `
client: {organization: a}
organizations: {a: {mspid: AMSP, peers: [p]}, b: {mspid: BMSP, peers: [q]}}
peers: {p: {url: 'grpcs://127.0.0.1:7051'}, q: {url: 'grpcs://127.0.0.1:7052'}}
channels: {c: {peers: {p: {}, q: {}}}}
x-medfed: {channel: c, chaincode: d, ipfs: {` + ipfs + `}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := codes.Of(err); got != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestAProfileNamesSomeNodesOrNone(t *testing.T) {
	const private, public = "private: {url: 'http://127.0.0.1:1'}", "public: {url: 'http://127.0.0.1:2'}"
	for _, c := range []struct {
		ipfs            string
		private, public bool
	}{{"", false, false}, {private, true, false}, {public, false, true}, {private + ", " + public, true, true}} {
		s, err := session.OpenStores(profileWith(t, c.ipfs))
		if err != nil {
			t.Fatal(err)
		}
		if s.MSP != "AMSP" || !slices.Equal(s.Members, []string{"AMSP", "BMSP"}) {
			t.Errorf("%+v", s)
		}
		if (s.Private != nil) != c.private || (s.Public != nil) != c.public {
			t.Errorf("%q gives a private node: %v, a public one: %v", c.ipfs, s.Private != nil, s.Public != nil)
		}
		if node, err := s.NeedPrivate(); c.private && (err != nil || node == nil) {
			t.Error(err)
		} else if !c.private {
			wantCode(t, err, "MF-PROFILE-IPFS")
		}
	}
	several, err := session.OpenStores(profileWith(t, public+", publicErased: [{url: 'http://127.0.0.1:3'}, {url: 'http://127.0.0.1:4'}]"))
	if err != nil || len(several.PublicErased) != 2 {
		t.Errorf("%d public nodes to remove from besides, %v", len(several.PublicErased), err)
	}
	_, err = session.OpenStores(profileWith(t, "publicErased: [{url: nowhere}]"))
	wantCode(t, err, "MF-IPFS-CONFIG")
	_, err = session.OpenStores(filepath.Join(t.TempDir(), "none.yaml"))
	wantCode(t, err, "MF-GATEWAY-PROFILE")
	_, err = session.OpenStores(profileWith(t, "private: {url: 'ftp://127.0.0.1'}"))
	if err == nil {
		t.Error("a node that is no node of IPFS was taken")
	}
}

func TestConnectNeedsProfileAndIdentity(t *testing.T) {
	_, err := session.Connect(filepath.Join(t.TempDir(), "none.yaml"), t.TempDir())
	wantCode(t, err, "MF-GATEWAY-PROFILE")
	_, err = session.Connect(profileWith(t, ""), t.TempDir())
	wantCode(t, err, "MF-GATEWAY-IDENTITY")
}

func TestAnIdentityKeepsItsAgeKey(t *testing.T) {
	folder := t.TempDir()
	first, err := session.AgeKey(folder)
	if err != nil {
		t.Fatal(err)
	}
	again, err := session.AgeKey(folder)
	if err != nil || again.Recipient() != first.Recipient() {
		t.Errorf("%v, another key", err)
	}
}

// An identity takes part in a task once at a time; in another task it may as well.
func TestAnIdentityRunsOnce(t *testing.T) {
	folder := t.TempDir()
	release, err := session.Take(folder, "t1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.Take(folder, "t1")
	wantCode(t, err, "MF-NODE-RUNNING")
	other, err := session.Take(folder, "t2")
	if err != nil {
		t.Fatal(err)
	}
	other()
	release() // as the message says
	again, err := session.Take(folder, "t1")
	if err != nil {
		t.Fatal(err)
	}
	again()
	_, err = session.Take(filepath.Join(folder, "none"), "t1")
	wantCode(t, err, "MF-GATEWAY-IDENTITY")
}
