package network

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonpb "github.com/hyperledger/fabric-protos-go-apiv2/common"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	peerpb "github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/ledger"
)

// The test of this file brings a whole network up, with everything that is real
// about it. It needs the programs: make tools build, and then
//
//	MEDFED_BIN=$PWD/.run/bin go test ./network
const binVariable = "MEDFED_BIN"

// printer reports the steps that have ended, with their time.
type printer struct {
	t     *testing.T
	began time.Time
}

func (p printer) Step(name string, done, total int) {
	if done == total {
		p.t.Logf("%5.2fs %s", time.Since(p.began).Seconds(), name)
	}
}

// TestNetwork is one network's life: up, up again, faults, down, up from what
// was kept, gone.
func TestNetwork(t *testing.T) {
	bin := os.Getenv(binVariable)
	if bin == "" {
		t.Skipf("%s does not name the folder of the servers' programs (make tools build; %s=$PWD/.run/bin)", binVariable, binVariable)
	}
	c := loadDefault(t)
	c.BasePort = freeSpan(t, c.portCount())
	state := filepath.Join(t.TempDir(), "state")
	n, err := Open(c, state, bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Down(context.Background()); err != nil {
			t.Error(err)
		}
		if left := processesOf(t, state); len(left) > 0 {
			t.Errorf("left running: %v", left)
		}
	})
	for _, step := range []struct {
		name string
		test func(*testing.T, *Network)
	}{
		{"Up", upFromNothing},
		{"UpAgainChangesNothing", upAgain},
		{"ChaincodeRefusesOtherClients", chaincodeRefusesOthers},
		{"Case09_PeerRefusesTimeOutsideWindow", peerRefusesOtherTimes},
		{"RPCNeedsItsToken", rpcNeedsToken},
		{"PrivateSwarmSharesBlocks", swarmSharesBlocks},
		{"PrivateSwarmRefusesWithoutKey", swarmRefusesWithoutKey},
		{"Enrol", enrol},
		{"SurvivesOrdererAndPeerKilled", survivesKills},
		{"HealsWhatHangs", healsWhatHangs},
		{"InterruptedDeploymentGoesOn", interruptedDeployment},
		{"FailureNamesProcessAndPort", failures},
		{"CancelledUpLeavesNothing", cancelledUp},
		{"DownAndResume", downAndResume},
		{"RejoinsWithoutItsDisk", rejoinsWithoutItsDisk},
		{"FindsADamagedBlock", findsADamagedBlock},
		{"HealsWhatWasDeleted", healsWhatWasDeleted},
		{"HealsWhatWasMadeByHand", healsWhatWasMadeByHand},
		{"Remove", remove},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, n) }) {
			t.FailNow() // each goes on from where the last has left
		}
	}
}

func up(t *testing.T, n *Network) {
	t.Helper()
	began := time.Now()
	if err := n.Up(t.Context(), printer{t, began}); err != nil {
		t.Fatal(err)
	}
	t.Logf("up in %.2fs", time.Since(began).Seconds())
}

// statuses maps every process to its status, and fails unless all are in a state.
func statuses(t *testing.T, n *Network, want State) map[string]ProcessStatus {
	t.Helper()
	all, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]ProcessStatus{}
	for _, s := range all {
		found[s.Name] = s
		if s.State != want {
			t.Errorf("%s is %s, want %s: %s", s.Name, s.State, want, s.Problem)
		}
	}
	return found
}

func upFromNothing(t *testing.T, n *Network) {
	up(t, n)
	var memory int64
	for _, s := range statuses(t, n, Healthy) {
		memory += s.Memory
	}
	t.Logf("%d processes, %d MiB", len(n.processes), memory>>20)
	for _, o := range n.consortium.Organisations {
		for _, identity := range o.Identities {
			if role, err := enrolledRole(n.IdentityDir(o.Name, identity.Name)); err != nil || role != string(identity.Role) {
				t.Errorf("%s of %s has role %q, want %q: %v", identity.Name, o.Name, role, identity.Role, err)
			}
		}
	}
	for _, node := range []string{chaincodeName, caServerName} {
		if _, err := os.Stat(n.nodeCertificates(&n.consortium.Organisations[0], node).MSP); err == nil {
			t.Errorf("%s, which needs TLS only, could endorse", node)
		}
	}
}

func upAgain(t *testing.T, n *Network) {
	before := statuses(t, n, Healthy)
	up(t, n)
	for name, s := range statuses(t, n, Healthy) {
		if s.PID != before[name].PID {
			t.Errorf("%s was started again", name)
		}
	}
}

// A chaincode service answers its own organisation's peer only.
func chaincodeRefusesOthers(t *testing.T, n *Network) {
	service, other := n.peers[0], n.peers[1]
	domain := n.certificateName(service.Organisation, chaincodeName)
	if err := handshake(t.Context(), service.ServiceAddress, domain, service.TLS, service.ServiceTLS); err != nil {
		t.Errorf("its own peer: %v", err)
	}
	if err := handshake(t.Context(), service.ServiceAddress, domain, other.TLS, service.ServiceTLS); err == nil {
		t.Error("another organisation's peer was let in")
	}
}

// A client may claim a time within the peers' window and no other.
func peerRefusesOtherTimes(t *testing.T, n *Network) {
	const window = ledger.TimeWindow * time.Second
	connection, err := n.dial(n.peers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	gateway, err := n.connect(n.peers[0], connection)
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	contract := gateway.GetNetwork(n.consortium.Channel).GetContract(n.consortium.Chaincode.Name)
	for off, accepted := range map[time.Duration]bool{0: true, window / 2: true, -window / 2: true, 2 * window: false, -2 * window: false} {
		proposal, err := contract.NewProposal(probe, client.WithArguments(probeArgument))
		if err != nil {
			t.Fatal(err)
		}
		shifted, err := gateway.NewProposal(claim(t, proposal, time.Now().Add(off)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := shifted.Evaluate(); (err == nil) != accepted {
			t.Errorf("a time %v off: %s", off, explain(err))
		}
	}
}

// claim gives a proposal's bytes with another timestamp.
func claim(t *testing.T, proposal *client.Proposal, at time.Time) []byte {
	t.Helper()
	whole, err := proposal.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var transaction gatewaypb.ProposedTransaction
	var inner peerpb.Proposal
	var header commonpb.Header
	var channel commonpb.ChannelHeader
	unmarshal(t, whole, &transaction)
	unmarshal(t, transaction.GetProposal().GetProposalBytes(), &inner)
	unmarshal(t, inner.GetHeader(), &header)
	unmarshal(t, header.GetChannelHeader(), &channel)
	channel.Timestamp = timestamppb.New(at)
	header.ChannelHeader = marshal(t, &channel)
	inner.Header = marshal(t, &header)
	transaction.Proposal.ProposalBytes = marshal(t, &inner)
	return marshal(t, &transaction)
}

func unmarshal(t *testing.T, raw []byte, into proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func marshal(t *testing.T, message proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func rpcNeedsToken(t *testing.T, n *Network) {
	node := n.swarms[0].nodes[0]
	for _, header := range []string{"", "Bearer wrong"} {
		if status, _ := rpc(t, node, header, "id", nil, nil); status != http.StatusForbidden {
			t.Errorf("with %q: status %d", header, status)
		}
	}
	if info, err := os.Stat(n.tokenFile(node)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the token's file: %v, %v", info.Mode(), err)
	}
}

// rpc calls a node's RPC with an optional file.
func rpc(t *testing.T, node *ipfsNode, authorization, command string, arguments url.Values, file []byte) (status int, body []byte) {
	t.Helper()
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	if file != nil {
		part, err := writer.CreateFormFile("file", "file")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(file)
	}
	_ = writer.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+node.rpc()+"/api/v0/"+command+"?"+arguments.Encode(), &form)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Type", writer.FormDataContentType())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

func bearer(t *testing.T, n *Network, node *ipfsNode) string {
	t.Helper()
	token, err := os.ReadFile(n.tokenFile(node))
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + string(token)
}

var cidPattern = regexp.MustCompile(`"Key":"(b[a-z2-7]+)"`)

// put stores a block and returns its CID.
func put(t *testing.T, n *Network, node *ipfsNode, content string) string {
	t.Helper()
	_, body := rpc(t, node, bearer(t, n, node), "block/put", url.Values{"cid-codec": {"raw"}}, []byte(content))
	found := cidPattern.FindSubmatch(body)
	if found == nil {
		t.Fatalf("block/put: %s", body)
	}
	return string(found[1])
}

func swarmSharesBlocks(t *testing.T, n *Network) {
	for _, s := range n.swarms {
		content := fmt.Sprintf("a block of private=%t", s.private)
		cid := put(t, n, s.nodes[0], content)
		for _, node := range s.nodes {
			if _, got := rpc(t, node, bearer(t, n, node), "block/get", url.Values{"arg": {cid}}, nil); string(got) != content {
				t.Errorf("%s has %q", node.Name, got)
			}
		}
	}
}

// A node that knows everything but the swarm key gets no connection.
func swarmRefusesWithoutKey(t *testing.T, n *Network) {
	inside, outside := n.swarms[0].nodes[0], n.swarms[1].nodes[0]
	var config nodeConfig
	if err := readJSON(n.configFile(inside), &config); err != nil {
		t.Fatal(err)
	}
	target := multiaddr(inside.Host, inside.SwarmPort) + "/p2p/" + config.Identity.PeerID
	if status, body := rpc(t, outside, bearer(t, n, outside), "swarm/connect", url.Values{"arg": {target}}, nil); status == http.StatusOK {
		t.Errorf("connected: %s", body)
	}
}

func enrol(t *testing.T, n *Network) {
	var group sync.WaitGroup
	dirs := make([]string, 3)
	for i := range dirs { // as three programs would that need the same identity
		group.Go(func() {
			var err error
			if dirs[i], err = n.Enrol(t.Context(), "hospital1", "ann.o-1", "patient"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	dir := dirs[0]
	if dir != dirs[1] || dir != dirs[2] || dir != n.IdentityDir("hospital1", "ann.o-1") {
		t.Fatalf("folders %v", dirs)
	}
	cert, err := certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if role, err := enrolledRole(dir); err != nil || role != "patient" || cert.Subject.CommonName != "ann.o-1" || len(cert.DNSNames) != 0 {
		t.Errorf("%s has role %q, names %v: %v", cert.Subject, role, cert.DNSNames, err)
	}
	if keys, _ := filepath.Glob(filepath.Join(dir, "keystore", "*_sk")); len(keys) != 1 {
		t.Errorf("keys %v", keys)
	}
	_, err = n.Enrol(t.Context(), "hospital1", "ann.o-1", "auditor")
	hasCode(t, err, "MF-NETWORK-IDENTITY", "patient", "auditor")

	// What else lies in the folder stays, and an enrolment that was interrupted
	// after the CA had heard of it is taken up again.
	if err := writeFile(filepath.Join(dir, "age.key"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "signcerts")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Enrol(t.Context(), "hospital1", "ann.o-1", "patient"); err != nil {
		t.Fatal(err)
	}
	if again, err := certificate(dir); err != nil || again.Equal(cert) {
		t.Errorf("the same certificate: %v", err)
	}
	if kept, err := os.ReadFile(filepath.Join(dir, "age.key")); err != nil || string(kept) != "key" {
		t.Errorf("age.key: %q, %v", kept, err)
	}
	if keys, _ := filepath.Glob(filepath.Join(dir, "keystore", "*_sk")); len(keys) != 1 {
		t.Errorf("keys %v", keys)
	}
	for _, pattern := range []string{n.path("secrets", ".client-*"), n.path("identities", "*", ".enrol-*"), n.path("nodes", "*", ".enrol-*")} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// One orderer, one peer and one IPFS node are killed; the others go on, and Up
// brings the dead back.
func survivesKills(t *testing.T, n *Network) {
	dead := []string{"orderer1", "peer-hospital1", "ipfs-hospital1"}
	for _, name := range dead {
		if err := n.SignalProcess(name, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if err := n.awaitGateway(t.Context(), n.peers[1]); err != nil {
		t.Fatal(err)
	}
	t.Logf("another gateway commits %.2fs after the kill", time.Since(began).Seconds())
	if err := n.StartProcess(t.Context(), "orderer1"); err != nil {
		t.Fatal(err)
	}
	if err := n.StartProcess(t.Context(), "orderer1"); err != nil {
		t.Errorf("starting what runs: %v", err)
	}
	if err := n.SignalProcess("orderer2", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if err := n.awaitGateway(t.Context(), n.peers[1]); err != nil {
		t.Fatal(err)
	}
	t.Logf("it commits %.2fs after another orderer fell asleep", time.Since(began).Seconds())
	if err := n.SignalProcess("orderer2", syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	up(t, n)
	statuses(t, n, Healthy)
}

// A network whose record was lost after joining or deploying goes on, when the
// record is written as the refusal says: it takes what is there for done, and
// deploys anew as the next sequence. A profile that is gone is written again.
func interruptedDeployment(t *testing.T, n *Network) {
	before, err := n.readRecord()
	if err != nil {
		t.Fatal(err)
	}
	profile := n.Profile("hospital1")
	wrote, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{profile, n.recordFile()} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, damaged := range []string{"", "{}", "{"} {
		if damaged != "" {
			if err := os.WriteFile(n.recordFile(), []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-STATE", "network.json", "remove nothing")
	}
	advice := regexp.MustCompile(`write (\{.*\}) into that file`).FindStringSubmatch(fmt.Sprint(n.Up(t.Context(), nil)))
	if advice == nil {
		t.Fatal("the refusal does not say what to write")
	}
	if err := os.WriteFile(n.recordFile(), []byte(advice[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	up(t, n)
	after, err := n.readRecord()
	if err != nil {
		t.Fatal(err)
	}
	if !after.Joined || !after.Ready || after.Definition != before.Definition || after.Sequence != before.Sequence+1 {
		t.Errorf("record %+v after %+v", after, before)
	}
	if again, err := os.ReadFile(profile); err != nil || !bytes.Equal(again, wrote) {
		t.Errorf("the profile that was gone is now %q, %v", again, err)
	}
}

// What can't start is named with the end of its log, and what its absence has
// made Up start is stopped again.
func failures(t *testing.T, n *Network) {
	config := filepath.Join(n.nodeDir("orderer3"), "orderer.yaml")
	good, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orderer3", "ca-auditor"} {
		if err := n.StopProcess(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	bad := bytes.Replace(good, []byte("LocalMSPDir: \""), []byte("LocalMSPDir: \"/nowhere"), 1)
	if err := os.WriteFile(config, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-PROCESS", "orderer3", "/nowhere")
	if _, alive := n.current("ca-auditor"); alive {
		t.Error("ca-auditor was left running by the Up that failed")
	}
	if _, alive := n.current("orderer2"); !alive {
		t.Error("orderer2, which ran before, was stopped by the Up that failed")
	}
	if err := os.WriteFile(config, good, 0o600); err != nil {
		t.Fatal(err)
	}
	up(t, n)
}

// An Up that is interrupted leaves nothing that it has started.
func cancelledUp(t *testing.T, n *Network) {
	if err := n.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := n.Up(ctx, cancelling{cancel})
	if err == nil || ctx.Err() == nil {
		t.Fatalf("error %v", err)
	}
	statuses(t, n, Stopped)
	if left := processesOf(t, n.state); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// cancelling interrupts as soon as some process is healthy.
type cancelling struct{ cancel context.CancelFunc }

func (p printer) Lost(l Loss) { p.t.Log(l) }

func (c cancelling) Lost(Loss) {}

func (c cancelling) Step(_ string, done, _ int) {
	if done > 0 {
		c.cancel()
	}
}

func downAndResume(t *testing.T, n *Network) {
	up(t, n)
	before, _ := n.readRecord()
	began := time.Now()
	if err := n.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("down in %.2fs", time.Since(began).Seconds())
	statuses(t, n, Stopped)
	if left := processesOf(t, n.state); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
	for _, p := range n.processes {
		for _, listens := range p.ports {
			if err := free(listens); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
	}
	up(t, n)
	if after, _ := n.readRecord(); after != before {
		t.Errorf("record %+v after %+v", after, before)
	}
	hasCode(t, n.Remove(t.Context()), "MF-NETWORK-RUNNING")
}

// A peer that has lost its disk joins again, even when nothing else runs.
func rejoinsWithoutItsDisk(t *testing.T, n *Network) {
	if err := n.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(n.peers[1].Data); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := n.RejoinPeer(t.Context(), n.peers[1].Organisation.Name, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("rejoined in %.2fs", time.Since(began).Seconds())
	up(t, n)
	statuses(t, n, Healthy)
}

func remove(t *testing.T, n *Network) {
	for _, err := range []error{n.Down(t.Context()), n.Down(t.Context()), n.Remove(t.Context()), n.Remove(t.Context()), n.Down(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(n.state); err == nil {
		t.Error("the state folder is still there")
	}
}

// processesOf lists the processes whose command line or environment names a folder.
func processesOf(t *testing.T, folder string) []string {
	t.Helper()
	out, err := exec.Command("ps", "axeww", "-o", "pid=,command=").Output()
	if err != nil {
		t.Skipf("processes can't be listed: %v", err)
	}
	var found []string
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, folder) {
			found = append(found, line)
		}
	}
	return found
}
