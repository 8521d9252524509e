package testnetwork

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/record"
)

// rpc calls a command of a node of the test network, with a token or without.
func (w *ward) rpc(node, token, command string, arguments url.Values) (status int, body []byte) {
	w.t.Helper()
	where := url.URL{Scheme: "http", Host: w.listens(node, "rpc"), Path: "/api/v0/" + command, RawQuery: arguments.Encode()}
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, where.String(), nil)
	w.must(err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	w.must(err)
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	w.must(err)
	return answer.StatusCode, body
}

// listens is the address of a process of the network.
func (w *ward) listens(process, use string) string {
	w.t.Helper()
	processes, err := w.network.Status(w.t.Context())
	w.must(err)
	for _, p := range processes {
		if p.Name == process {
			return p.Addresses[use]
		}
	}
	w.t.Fatalf("there is no process %s", process)
	return ""
}

func (w *ward) token(node string) string {
	w.t.Helper()
	token, err := os.ReadFile(filepath.Join(w.network.StateDir(), "secrets", node+".token"))
	w.must(err)
	return string(bytes.TrimSpace(token))
}

// Case 30: a node that knows everything but the swarm key gets no connection to
// the private network; one that has the key does.
func TestCase30NoSwarmKeyNoConnection(t *testing.T) {
	w := &ward{t: t, network: liveNetwork(t)}
	const inside, member, outside = "ipfs-hospital1", "ipfs-hospital2", "ipfs-public1"
	_, body := w.rpc(inside, w.token(inside), "id", nil)
	var id struct{ ID string }
	w.must(json.Unmarshal(body, &id))
	host, port, _ := strings.Cut(w.listens(inside, "swarm"), ":")
	address := url.Values{"arg": {"/ip4/" + host + "/tcp/" + port + "/p2p/" + id.ID}}
	if status, body := w.rpc(member, w.token(member), "swarm/connect", address); status != http.StatusOK {
		t.Errorf("%s, which has the key: %s", member, body)
	}
	if status, body := w.rpc(outside, w.token(outside), "swarm/connect", address); status == http.StatusOK {
		t.Errorf("%s, which has no key: %s", outside, body)
	}
	_, body = w.rpc(outside, w.token(outside), "swarm/peers", nil)
	if bytes.Contains(body, []byte(id.ID)) {
		t.Errorf("%s is connected: %s", outside, body)
	}
}

// Case 30: no node's RPC does anything without its own token.
func TestCase30NoTokenNoRPC(t *testing.T) {
	w := &ward{t: t, network: liveNetwork(t)}
	processes, err := w.network.Status(t.Context())
	w.must(err)
	asked, another := 0, w.token("ipfs-public2")
	for _, p := range processes {
		if !strings.HasPrefix(p.Name, "ipfs-") {
			continue
		}
		asked++
		for name, token := range map[string]string{"none": "", "a guess": "guess", "another node's": another} {
			status, body := w.rpc(p.Name, token, "repo/stat", nil)
			if refused := status == http.StatusForbidden; refused == (token == w.token(p.Name)) {
				t.Errorf("%s with %s as the token: status %d, %s", p.Name, name, status, body)
			}
		}
		if status, body := w.rpc(p.Name, w.token(p.Name), "repo/stat", nil); status != http.StatusOK {
			t.Errorf("%s with its own token: status %d, %s", p.Name, status, body)
		}
	}
	if members := 5; asked != members+2 {
		t.Errorf("%d nodes were asked", asked)
	}
}

// Case 30: with the node dead that a file was added to, a third member's node has
// it from the copy that is pinned elsewhere.
func TestCase30OriginDeadPinnedCopyServes(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	const origin = "ipfs-" + custodian
	w.must(w.network.StopProcess(t.Context(), origin))
	t.Cleanup(func() {
		if err := w.network.Up(context.Background(), nil); err != nil { // waits for the swarm too
			t.Error(err)
		}
	})
	officer := w.officer.Client
	output := filepath.Join(t.TempDir(), "one")
	_, err := officer.Get(t.Context(), id, 1, output)
	w.denied("MF-IPFS-UNREACHABLE", err)
	absent(t, output)
	officer.Own = w.ipfs(w.profile("hospital3").Medfed.IPFS.Private)
	_, err = officer.Get(t.Context(), id, 1, output)
	w.must(err)
	holds(t, output, "one")
}

// Case 30: one flipped bit on the disk of a node, or another key than the file is
// for, and nothing is written; the same for custodian, patient and grantee.
func TestCase30FlippedBitOrWrongIdentityNoOutput(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	given := w.agree(id)
	w.grant(given, 1)
	get := func(c record.Client) func(string) error {
		return func(output string) error {
			_, err := c.Get(t.Context(), id, 1, output)
			return err
		}
	}
	open := func(c record.Client) func(string) error {
		return func(output string) error {
			_, err := c.Open(t.Context(), record.Use{Consent: given, Version: 1, Purpose: payment, Output: output})
			return err
		}
	}
	stranger, err := envelope.NewIdentity()
	w.must(err)
	cid := w.private(id, 1).CID
	for _, c := range []struct {
		name string
		node string
		of   record.Client
		read func(record.Client) func(string) error
		want codes.Code // with another key
	}{
		{"custodian", "ipfs-hospital1", w.officer.Client, get, "MF-HOSPITAL-KEY-UNSHARED"},
		{"patient", "ipfs-hospital1", w.patient.Client, get, "MF-ENVELOPE-NOT-RECIPIENT"},
		{"grantee", "ipfs-public1", w.requester.Client, open, "MF-ENVELOPE-NOT-RECIPIENT"},
	} {
		wrong := c.of
		wrong.Key = stranger
		output := filepath.Join(t.TempDir(), "one")
		w.denied(c.want, c.read(wrong)(output))
		absent(t, output)
		repair := w.flip(c.node, cid)
		w.denied("MF-IPFS-CORRUPT", c.read(c.of)(output))
		absent(t, output)
		repair()
		w.must(c.read(c.of)(output))
		holds(t, output, "one")
	}
}

// flip changes one bit of a file where a node keeps it, and gives what changes it
// back. The file is one block long.
func (w *ward) flip(node, cid string) (repair func()) {
	w.t.Helper()
	sealed := w.sealed(node, cid)
	var kept string
	blocks := filepath.Join(w.network.StateDir(), "nodes", node, "blocks")
	w.must(filepath.WalkDir(blocks, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Equal(content, sealed) {
			kept = path
		}
		return err
	}))
	if kept == "" {
		w.t.Fatalf("%s does not keep %s", node, cid)
	}
	replace := func(content []byte) {
		fresh := kept + ".new"
		w.must(os.WriteFile(fresh, content, 0o600))
		w.must(os.Rename(fresh, kept))
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	replace(flipped)
	return func() { replace(sealed) }
}

// sealed is a file as a node gives it.
func (w *ward) sealed(node, cid string) []byte {
	w.t.Helper()
	c, err := ipfs.Open(ipfs.Config{URL: "http://" + w.listens(node, "rpc"), TokenFile: filepath.Join(w.network.StateDir(), "secrets", node+".token")})
	w.must(err)
	defer c.Close()
	content, err := c.Get(w.t.Context(), cid)
	w.must(err)
	defer content.Close()
	sealed, err := io.ReadAll(content)
	w.must(err)
	return sealed
}
