package ipfs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/medfed/medfed/client/ipfs"
)

// kubo is a real node as a process, in a private swarm, cut off from the internet.
type kubo struct {
	binary, repo string
	api, swarm   string // host:port on loopback
	id           string
	process      *exec.Cmd
}

// kuboBinary finds the ipfs binary in the folder that MEDFED_BIN names.
func kuboBinary(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("MEDFED_BIN")
	if folder == "" {
		t.Skip("MEDFED_BIN names no folder of server binaries: real Kubo nodes are not tested")
	}
	binary, err := filepath.Abs(filepath.Join(folder, "ipfs"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("no ipfs in MEDFED_BIN: %v", err)
	}
	return binary
}

func swarmKey(t testing.TB) string {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	return "/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(key) + "\n"
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func multiaddress(hostPort string) string {
	host, port, _ := net.SplitHostPort(hostPort)
	return "/ip4/" + host + "/tcp/" + port
}

// newKubo initialises a node that takes the token, with the swarm key.
func newKubo(t testing.TB, key string) *kubo {
	t.Helper()
	n := &kubo{binary: kuboBinary(t), repo: filepath.Join(t.TempDir(), "repo"), api: freeAddress(t), swarm: freeAddress(t)}
	n.run(t, "init", "--profile", "test")
	if err := os.WriteFile(filepath.Join(n.repo, "swarm.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	n.configure(t, map[string]any{
		"Addresses.API":                         multiaddress(n.api),
		"Addresses.Swarm":                       []string{multiaddress(n.swarm)},
		"Addresses.Gateway":                     []string{},
		"API.Authorizations":                    map[string]any{"medfed": map[string]any{"AuthSecret": "bearer:" + token, "AllowedPaths": []string{"/api/v0"}}},
		"AutoConf.Enabled":                      false,
		"AutoTLS.Enabled":                       false,
		"Bootstrap":                             []string{},
		"DNS.Resolvers":                         map[string]string{},
		"Ipns.DelegatedPublishers":              []string{},
		"Routing.DelegatedRouters":              []string{},
		"Routing.Type":                          "none",
		"Swarm.AddrFilters":                     []string{},
		"Discovery.MDNS.Enabled":                false,
		"Swarm.Transports.Network.QUIC":         false,
		"Swarm.Transports.Network.WebTransport": false,
		"Swarm.Transports.Network.WebRTCDirect": false,
		"Swarm.Transports.Network.Websocket":    false,
	})
	n.id = strings.TrimSpace(n.run(t, "config", "Identity.PeerID"))
	return n
}

func (n *kubo) command(arguments ...string) *exec.Cmd {
	c := exec.Command(n.binary, arguments...)
	c.Env = append(os.Environ(), "IPFS_PATH="+n.repo, "LIBP2P_FORCE_PNET=1", "IPFS_TELEMETRY=off")
	return c
}

func (n *kubo) run(t testing.TB, arguments ...string) string {
	t.Helper()
	out, err := n.command(arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipfs %v: %v\n%s", arguments, err, out)
	}
	return string(out)
}

// configure sets dotted keys in the node's configuration file.
func (n *kubo) configure(t testing.TB, values map[string]any) {
	t.Helper()
	path := filepath.Join(n.repo, "config")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	for key, value := range values {
		at := config
		steps := strings.Split(key, ".")
		for _, step := range steps[:len(steps)-1] {
			next, ok := at[step].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[step] = next
			}
			at = next
		}
		at[steps[len(steps)-1]] = value
	}
	if content, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the daemon and waits until it says that it is ready.
func (n *kubo) start(t testing.TB) {
	t.Helper()
	n.process = n.command("daemon")
	out, err := n.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	n.process.Stderr = &complaints
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.stop(t) })
	var said strings.Builder
	for one := make([]byte, 1024); !strings.Contains(said.String(), "Daemon is ready"); {
		k, err := out.Read(one)
		said.Write(one[:k])
		if err != nil {
			t.Fatalf("the daemon ended: %s%s", said.String(), complaints.String())
		}
	}
	go io.Copy(io.Discard, out)
}

func (n *kubo) stop(t testing.TB) {
	if n.process == nil {
		return
	}
	n.process.Process.Signal(syscall.SIGTERM)
	n.process.Wait()
	n.process = nil
}

func (n *kubo) client(t testing.TB, timeout time.Duration) *ipfs.Client {
	t.Helper()
	client, err := ipfs.Open(ipfs.Config{URL: "http://" + n.api, TokenFile: tokenFile(t, token), Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// connect dials the other node; the error is the swarm's.
func (n *kubo) connect(other *kubo) error {
	c := n.command("swarm", "connect", multiaddress(other.swarm)+"/p2p/"+other.id, "--api", multiaddress(n.api), "--api-auth", "bearer:"+token)
	if out, err := c.CombinedOutput(); err != nil {
		return errors.New(string(out))
	}
	return nil
}

// has reports whether a block is in the running node's own repository.
func (n *kubo) has(t testing.TB, id string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.api+"/api/v0/block/stat?offline=true&arg="+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// pins lists what the running node keeps, sorted: Kubo lists in no order.
func (n *kubo) pins(t testing.TB) []string {
	t.Helper()
	listed := n.run(t, "pin", "ls", "--type=recursive", "--api", multiaddress(n.api), "--api-auth", "bearer:"+token)
	return slices.Sorted(strings.Lines(listed))
}

func TestKuboPrivateSwarm(t *testing.T) {
	key := swarmKey(t)
	a, b := newKubo(t, key), newKubo(t, key)
	a.start(t)
	b.start(t)
	if err := a.connect(b); err != nil {
		t.Fatal(err)
	}
	from, to := a.client(t, time.Minute), b.client(t, time.Minute)
	want := content(9<<20 + 4321)
	id, err := from.Add(t.Context(), bytes.NewReader(want)) // Add compares Kubo's CID with its own
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t.Context(), to, id)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	peers, err := to.Peers(t.Context())
	if err != nil || len(peers) != 1 || peers[0].ID != a.id {
		t.Fatalf("%v, %v", peers, err)
	}
	t.Run("half a file is not pinned", func(t *testing.T) {
		pinned := a.pins(t)
		broken := errors.New("the source broke")
		if _, err := from.Add(t.Context(), io.MultiReader(bytes.NewReader(content(3<<20)), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		after := a.pins(t)
		if !slices.Equal(after, pinned) {
			t.Errorf("pins before: %v, after: %v", pinned, after)
		}
	})
	t.Run("a pinned copy outlives its origin", func(t *testing.T) {
		other := content(2<<20 + 1)
		second, err := from.Add(t.Context(), bytes.NewReader(other))
		if err != nil {
			t.Fatal(err)
		}
		if err := to.PinNamed(t.Context(), "record/1", second); err != nil {
			t.Fatal(err)
		}
		if named, err := to.Named(t.Context(), "record/"); err != nil || named[second] != "record/1" {
			t.Errorf("the copy is pinned as %v, %v", named, err)
		}
		a.stop(t)
		if got, err := read(t.Context(), to, second); err != nil || !bytes.Equal(got, other) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		wantCode(t, from.Check(t.Context()), "MF-IPFS-UNREACHABLE")
		if err := to.Remove(t.Context(), second); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("what nobody has is not found", func(t *testing.T) {
		absent, err := ipfs.ComputeCID(strings.NewReader("nobody has this"))
		if err != nil {
			t.Fatal(err)
		}
		impatient := b.client(t, time.Second)
		_, err = impatient.Get(t.Context(), absent)
		wantCode(t, err, "MF-IPFS-TIMEOUT")
		wantCode(t, impatient.Pin(t.Context(), absent), "MF-IPFS-TIMEOUT")
	})
	t.Run("removed means gone", func(t *testing.T) {
		removed(t, to, func(id string) bool { return b.has(t, id) })
	})
	t.Run("pins have names", func(t *testing.T) { named(t, to) })
	t.Run("a killed upload", func(t *testing.T) { killedUpload(t, b) })
	t.Run("without the token there is no RPC", func(t *testing.T) {
		stranger, err := ipfs.Open(ipfs.Config{URL: "http://" + b.api, TokenFile: tokenFile(t, "guess")})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, stranger.Check(t.Context()), "MF-IPFS-TOKEN")
		_, err = stranger.Add(t.Context(), bytes.NewReader(content(20<<20)))
		wantCode(t, err, "MF-IPFS-TOKEN")
	})
}

func TestKuboWrongSwarmKey(t *testing.T) {
	a, b := newKubo(t, swarmKey(t)), newKubo(t, swarmKey(t))
	a.start(t)
	b.start(t)
	if err := a.connect(b); err == nil {
		t.Fatal("nodes with different swarm keys are connected")
	}
	id, err := a.client(t, time.Minute).Add(t.Context(), strings.NewReader("for the swarm only"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.client(t, 2*time.Second).Get(context.Background(), id)
	wantCode(t, err, "MF-IPFS-TIMEOUT")
}

// killedUpload kills whoever uploads in the middle of it, while another's upload goes on: the
// blocks that came before stay until garbage is collected, and then they are gone. What is
// still being uploaded meanwhile comes to its end, and a reader does not wait.
func killedUpload(t *testing.T, n *kubo) {
	client := n.client(t, time.Minute)
	readable := content(3<<20 + 1)
	kept, err := client.Add(t.Context(), bytes.NewReader(readable))
	if err != nil {
		t.Fatal(err)
	}

	// The one that is killed: its connection breaks, as a process's does.
	half := content(11 << 20) // Kubo holds 8 MiB back before it stores them
	half[0]++                 // no block of the other files
	first, err := ipfs.ComputeCID(bytes.NewReader(half[:1<<20]))
	if err != nil {
		t.Fatal(err)
	}
	dying, kill := context.WithCancel(t.Context())
	source, into := io.Pipe()
	died := make(chan error, 1)
	go func() { _, err := client.Add(dying, source); died <- err }()
	into.Write(half)
	await(t, "the killed upload's first block", func() bool { return n.has(t, first) })
	kill()
	into.Close()
	if err := <-died; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}

	// The one that goes on.
	other := bytes.Clone(half)
	other[0]++
	source, into = io.Pipe()
	type added struct {
		id  string
		err error
	}
	done := make(chan added, 1)
	go func() { id, err := client.Add(t.Context(), source); done <- added{id, err} }()
	into.Write(other)
	begun, err := ipfs.ComputeCID(bytes.NewReader(other[:1<<20]))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the other upload's first block", func() bool { return n.has(t, begun) })

	collected := make(chan error, 1)
	go func() { collected <- client.Collect(t.Context()) }()
	for range 20 { // the collection waits for the upload, and a reader for neither
		if got, err := read(t.Context(), client, kept); err != nil || !bytes.Equal(got, readable) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	select {
	case err := <-collected:
		t.Fatalf("collected in the middle of an upload: %v", err)
	default:
	}
	into.Close()
	whole := <-done
	if whole.err != nil {
		t.Fatal(whole.err)
	}
	if err := <-collected; err != nil {
		t.Fatal(err)
	}
	if n.has(t, first) {
		t.Error("a block of the killed upload is there")
	}
	if got, err := read(t.Context(), client, whole.id); err != nil || !bytes.Equal(got, other) {
		t.Errorf("of the upload that went on there are %d bytes, %v", len(got), err)
	}
}

// await asks until something is so: a node tells nobody of a block.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !so(); {
		if time.Now().After(until) {
			t.Fatalf("%s does not come", what)
		}
	}
}
