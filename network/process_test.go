package network

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// certificateWith is a self-signed certificate valid until so many days from
// now, with a Fabric CA's attributes unless they are "".
func certificateWith(t *testing.T, days int, attributes string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ann"},
		NotBefore: time.Now().AddDate(0, 0, -2), NotAfter: time.Now().AddDate(0, 0, days),
	}
	if attributes != "" {
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}, Value: []byte(attributes)}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// scripted is a network whose programs are shell scripts, which begin and end at
// once on a machine that has time for them.
func scripted(t *testing.T, scripts map[string]string) *Network {
	t.Helper()
	bin := t.TempDir()
	for name, script := range scripts {
		if err := writeFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := loadDefault(t)
	c.Timeouts = Timeouts{Start: time.Minute, Ready: time.Minute, Stop: time.Minute}
	n, err := Open(c, filepath.Join(t.TempDir(), "state"), bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"logs", "run"} {
		if err := os.MkdirAll(n.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// healthyWhen is healthy once a file exists.
func healthyWhen(path string) func(context.Context) error {
	return func(context.Context) error {
		_, err := os.Stat(path)
		return err
	}
}

const forever = "exec sleep 600"

func TestLaunchAndStop(t *testing.T) {
	n := scripted(t, map[string]string{"server": `echo "serving" >&2; touch "$READY"; ` + forever})
	ready := filepath.Join(t.TempDir(), "ready")
	p := &process{name: "server1", program: "server", env: []string{"READY=" + ready}, dir: n.state, healthy: healthyWhen(ready)}
	if err := n.launch(p); err != nil {
		t.Fatal(err)
	}
	if err := n.awaitHealthy(t.Context(), p, false); err != nil {
		t.Fatal(err)
	}
	pid, alive := n.current("server1")
	if !alive {
		t.Fatal("it does not run")
	}
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("it is in process group %d, %v: a Ctrl-C in the terminal would end it", group, err)
	}
	limited, cancel := context.WithTimeout(t.Context(), n.consortium.Timeouts.Start)
	defer cancel()
	if err := poll(limited, func() (bool, error) { // while one program takes the place of another it has none
		memory, _ := usage(pid)
		return memory > 0, nil
	}); err != nil {
		t.Errorf("it uses no memory: %v", err)
	}
	if log := tail(n.logFile("server1")); log != "serving" {
		t.Errorf("log %q", log)
	}
	if err := n.stop(t.Context(), "server1"); err != nil {
		t.Fatal(err)
	}
	if _, alive := n.current("server1"); alive {
		t.Error("it still runs")
	}
	if err := poll(limited, func() (bool, error) { // ended, it keeps its ID until the one that started it has asked how
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), nil
	}); err != nil {
		t.Errorf("process %d is left: %v", pid, err)
	}
	if _, err := os.Stat(n.runFile("server1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was written down of it: %v", err)
	}
	if err := n.stop(t.Context(), "server1"); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

// One that does not listen to SIGTERM is killed; one that sleeps (SIGSTOP) is woken.
func TestStopInsists(t *testing.T) {
	n := scripted(t, map[string]string{
		"deaf":   `trap "" TERM; touch "$READY"; while :; do sleep 600; done`,
		"polite": `trap 'touch "$BYE"; exit 0' TERM; touch "$READY"; while :; do sleep 0.01; done`,
	})
	patience := n.consortium.Timeouts.Stop
	for name, suspend := range map[string]bool{"deaf": false, "polite": true} {
		t.Run(name, func(t *testing.T) {
			if n.consortium.Timeouts.Stop = patience; !suspend {
				n.consortium.Timeouts.Stop = 500 * time.Millisecond // in vain
			}
			ready, bye := filepath.Join(t.TempDir(), "ready"), filepath.Join(t.TempDir(), "bye")
			p := &process{name: name, program: name, env: []string{"READY=" + ready, "BYE=" + bye}, dir: n.state, healthy: healthyWhen(ready)}
			if err := n.start(t.Context(), []*process{p}, func() {}); err != nil {
				t.Fatal(err)
			}
			pid, _ := n.current(name)
			t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }) // the shell's own children
			if suspend {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			if err := n.stop(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if _, alive := n.current(name); alive {
				t.Error("it still runs")
			}
			if _, err := os.Stat(bye); suspend != (err == nil) {
				t.Errorf("said goodbye: %v", err)
			}
		})
	}
}

// What was written down of a process that ended says nothing about the one that
// got its ID afterwards: that one is neither reported nor signalled.
func TestRecycledProcessIDIsLeftAlone(t *testing.T) {
	n := scripted(t, nil)
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = other.Process.Kill(), other.Wait() })
	for name, content := range map[string]string{
		"another start": `{"pid":` + itoa(other.Process.Pid) + `,"started":"some-boot/1"}`,
		"no such ID":    `{"pid":4194304,"started":"some-boot/1"}`,
		"all processes": `{"pid":-1,"started":""}`,
		"no start":      `{"pid":` + itoa(other.Process.Pid) + `}`,
		"not JSON":      `12`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(n.runFile("orderer1"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, alive := n.current("orderer1"); alive {
				t.Error("taken for the orderer")
			}
			hasCode(t, n.SignalProcess("orderer1", syscall.SIGTERM), "MF-NETWORK-STOPPED", "orderer1")
			if err := n.stop(t.Context(), "orderer1"); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(n.runFile("orderer1")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("still written down: %v", err)
			}
		})
	}
	if _, alive := startOf(other.Process.Pid); !alive {
		t.Error("the other process was ended")
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// A process that ends shows the end of its log.
func TestFailureShowsLog(t *testing.T) {
	n := scripted(t, map[string]string{
		"broken":  `for i in $(seq 100); do echo "line $i"; done; echo "panic: no such port" >&2; printf '\n\ngoroutine 1 [running]:\nmain.main()\n' >&2; exit 1`,
		"unready": `echo "waiting for nobody"; ` + forever,
	})
	never := func(context.Context) error { return errors.New("connection refused") }
	p := &process{name: "orderer2", program: "broken", dir: n.state, healthy: never}
	err := n.start(t.Context(), []*process{p}, func() {})
	hasCode(t, err, "MF-NETWORK-PROCESS", "orderer2", "ended", "no such port", "line 100", n.logFile("orderer2"))
	if strings.Contains(err.Error(), "line 50\n") || strings.Contains(err.Error(), "main.main") {
		t.Errorf("the error shows more than the end of the log: %v", err)
	}
	n.consortium.Timeouts.Start = 200 * time.Millisecond
	p = &process{name: "orderer3", program: "unready", dir: n.state, healthy: func(ctx context.Context) error {
		for tail(n.logFile("orderer3")) == "" { // it is only asked once it has said something
			time.Sleep(pollInterval)
		}
		return never(ctx)
	}}
	err = n.start(t.Context(), []*process{p}, func() {})
	hasCode(t, err, "MF-NETWORK-PROCESS", "orderer3", "does not serve", "connection refused", "waiting for nobody")
	if err := n.stop(t.Context(), "orderer3"); err != nil {
		t.Error(err)
	}
}

// A taken port is named before anything is started or made.
func TestPortTaken(t *testing.T) {
	script := "touch \"$(dirname \"$0\")/started\"\n" + forever
	scripts := map[string]string{}
	for _, program := range []string{"peer", "orderer", "chaincode", "fabric-ca-server", "ipfs", "cryptogen", "configtxgen", "osnadmin", "fabric-ca-client", "medfed"} {
		scripts[program] = script
	}
	n := scripted(t, scripts)
	n.state = filepath.Join(t.TempDir(), "new")
	n.consortium.BasePort = freeSpan(t, n.consortium.portCount())
	moved, err := Open(n.consortium, n.state, n.bin)
	if err != nil {
		t.Fatal(err)
	}
	taken := moved.peers[2].OperationsAddress
	listener, err := net.Listen("tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(taken)
	hasCode(t, moved.Up(t.Context(), nil), "MF-NETWORK-PORT", "peer-hospital3", port, "base port")
	if _, err := os.Stat(filepath.Join(n.bin, "started")); err == nil {
		t.Error("something was started")
	}
	if _, err := os.Stat(moved.path("crypto")); err == nil {
		t.Error("something was made")
	}
}

// freeSpan finds a base port with so many free ones after it.
func freeSpan(t *testing.T, count int) int {
	t.Helper()
	for base := 23000; base < 32000; base += count {
		ok := true
		for i := range count {
			ok = ok && free(address(loopback, base+i)) == nil
		}
		if ok {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

func TestUpRefuses(t *testing.T) {
	n := scripted(t, nil)
	n.state = filepath.Join(t.TempDir(), "new")
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-BINARY", "make")

	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(foreign, "chaincode"), 0o700); err != nil {
		t.Fatal(err)
	}
	n.state = foreign
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-STATE", foreign)
	for _, err := range []error{n.Down(t.Context()), n.Remove(t.Context())} {
		if err != nil {
			t.Error(err)
		}
	}
	if entries, _ := os.ReadDir(foreign); len(entries) != 2 {
		t.Errorf("a folder that is no network's now holds %v", entries)
	}

	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.state = blocked
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-STATE")

	n.state = filepath.Join(t.TempDir(), "other")
	unlock, err := n.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := n.writeRecord(record{Made: "from something else"}); err != nil {
		t.Fatal(err)
	}
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-CHANGED", n.state, "down --remove", "for good")
	if err := n.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-BINARY") // it begins to make a new one
	if err := os.WriteFile(n.recordFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-STATE", "network.json")

	for _, host := range []string{"192.0.2.99", "no-such-host.invalid"} {
		c := loadDefault(t)
		c.Organisations[1].Host = host
		remote, err := Open(c, filepath.Join(t.TempDir(), "remote"), n.bin)
		if err != nil {
			t.Fatal(err)
		}
		hasCode(t, remote.Up(t.Context(), nil), "MF-NETWORK-HOST", host, "hospital2")
	}

	if _, err := Open(loadDefault(t), "", n.bin); err == nil {
		t.Error("a network without a state folder was opened")
	}
}

// Down ends what was started even when consortium.yaml has lost it since, and
// Remove refuses while it runs.
func TestDownEndsWhatIsWrittenDown(t *testing.T) {
	n := scripted(t, map[string]string{"server": forever})
	if err := n.writeRecord(record{}); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, name := range []string{"peer-closed", "orderer7", "ipfs-closed"} {
		if err := n.launch(&process{name: name, program: "server", dir: n.state}); err != nil {
			t.Fatal(err)
		}
		pid, _ := n.current(name)
		pids = append(pids, pid)
	}
	hasCode(t, n.Remove(t.Context()), "MF-NETWORK-RUNNING")
	if err := n.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if _, alive := startOf(pid); alive || pid == 0 {
			t.Errorf("process %d: running %t", pid, alive)
		}
	}
	if err := n.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(n.state); err == nil {
		t.Error("the state folder is still there")
	}
}

func TestUnknownNames(t *testing.T) {
	n := scripted(t, nil)
	hasCode(t, n.StopProcess(t.Context(), "orderer9"), "MF-NETWORK-UNKNOWN", "orderer1")
	hasCode(t, n.StartProcess(t.Context(), "orderer9"), "MF-NETWORK-UNKNOWN")
	hasCode(t, n.SignalProcess("orderer9", syscall.SIGKILL), "MF-NETWORK-UNKNOWN")
	hasCode(t, n.StartProcess(t.Context(), "orderer1"), "MF-NETWORK-DOWN")
	for _, c := range []struct{ org, name, role, code string }{
		{"clinic", "ann", "trainer", "MF-NETWORK-UNKNOWN"},
		{"hospital1", "../ann", "trainer", "MF-NETWORK-IDENTITY"},
		{"hospital1", "ann", "boss", "MF-NETWORK-IDENTITY"},
		{"hospital1", "registrar", "trainer", "MF-NETWORK-IDENTITY"},
		{"hospital1", "ann", "trainer", "MF-NETWORK-DOWN"},
	} {
		_, err := n.Enrol(t.Context(), c.org, c.name, c.role)
		hasCode(t, err, c.code)
	}
	hasCode(t, n.RejoinPeer(t.Context(), "clinic", nil), "MF-NETWORK-UNKNOWN", "hospital1")
	hasCode(t, n.RejoinPeer(t.Context(), "insurer", nil), "MF-NETWORK-UNKNOWN", "no peer")
	hasCode(t, n.RejoinPeer(t.Context(), "hospital1", nil), "MF-NETWORK-DOWN")
	hasCode(t, n.Revoke(t.Context(), "clinic", "ann"), "MF-NETWORK-UNKNOWN")
	hasCode(t, n.Revoke(t.Context(), "hospital1", "../ann"), "MF-NETWORK-IDENTITY")
	hasCode(t, n.Revoke(t.Context(), "hospital1", "registrar"), "MF-NETWORK-IDENTITY")
	hasCode(t, n.Revoke(t.Context(), "hospital1", "ann"), "MF-NETWORK-DOWN")
}

func TestEnrolledIdentitiesAreListed(t *testing.T) {
	n := scripted(t, nil)
	for _, file := range []string{"hospital2/ann/signcerts/cert.pem", "hospital1/bob/signcerts/cert.pem", "hospital1/ann/signcerts/cert.pem", "hospital1/half/keystore/key"} {
		file = n.path("identities", file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		organisations []string
		want          string
	}{
		{nil, "[{hospital1 ann} {hospital1 bob} {hospital2 ann}]"},
		{[]string{"hospital2"}, "[{hospital2 ann}]"},
		{[]string{"insurer"}, "[]"},
	} {
		got, err := n.Enrolled(c.organisations...)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("of %v: %v, %v; want %s", c.organisations, got, err, c.want)
		}
	}
	_, err := n.Enrolled("clinic")
	hasCode(t, err, "MF-NETWORK-UNKNOWN")
}

// Settings of the servers in the caller's environment do not reach them.
func TestEnvironment(t *testing.T) {
	t.Setenv("CORE_PEER_LOCALMSPID", "FalseMSP")
	t.Setenv("IPFS_PATH", "/elsewhere")
	t.Setenv("MEDFED_TEST_KEPT", "yes")
	env := environment("IPFS_PATH=/here")
	joined := "\n" + strings.Join(env, "\n") + "\n"
	if strings.Contains(joined, "FalseMSP") || strings.Contains(joined, "/elsewhere") {
		t.Errorf("environment %v", env)
	}
	if !strings.Contains(joined, "\nMEDFED_TEST_KEPT=yes\n") || !strings.Contains(joined, "\nIPFS_PATH=/here\n") {
		t.Errorf("environment %v", env)
	}
}

// A tool that fails is named without its secrets, with what it said.
func TestToolFails(t *testing.T) {
	n := scripted(t, map[string]string{"fabric-ca-client": "echo 'Error: refused' >&2; exit 1"})
	_, err := n.tool(t.Context(), nil, "fabric-ca-client", "register", "--id.secret", "hush")
	hasCode(t, err, "MF-NETWORK-TOOL", "fabric-ca-client register", "Error: refused")
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the error tells a secret: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.tool(ctx, nil, "fabric-ca-client"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after a cancellation", err)
	}
}

func TestHealthz(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		body    string
		healthy bool
	}{
		"well":    {200, `{"status":"OK","time":"now"}`, true},
		"ill":     {503, `{"status":"Service Unavailable"}`, false},
		"strange": {200, `{"status":"?"}`, false},
		"no JSON": {200, `OK`, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			if err := healthz(t.Context(), strings.TrimPrefix(server.URL, "http://")); (err == nil) != c.healthy {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Steps are told one at a time, whoever does them.
type recorder struct {
	mu    sync.Mutex
	steps map[string][2]int
}

func (r *recorder) Step(name string, done, total int) {
	if !r.mu.TryLock() {
		panic("two steps at once")
	}
	defer r.mu.Unlock()
	if r.steps == nil {
		r.steps = map[string][2]int{}
	}
	r.steps[name] = [2]int{done, total}
}

func (r *recorder) Lost(Loss) {}

func TestReporting(t *testing.T) {
	rec := &recorder{}
	r := &reporting{to: rec}
	var group sync.WaitGroup
	for _, step := range []string{StepServers, StepIPFS} {
		done := r.step(step, 50)
		for range 50 {
			group.Go(done)
		}
	}
	group.Wait()
	if len(rec.steps) != 2 {
		t.Errorf("steps %v", rec.steps)
	}
	(&reporting{}).step(StepIPFS, 1)() // nobody listens
}

// A file is there whole or not at all.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "file")
	for _, content := range []string{"first", "second"} {
		if err := writeFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("%q, want %q", got, content)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := writeFile(filepath.Join(path, "below"), nil, 0o600); err == nil {
		t.Error("wrote below a file")
	}
}

// A lock keeps a second program out until the first lets go.
func TestLock(t *testing.T) {
	n := scripted(t, nil)
	unlock, err := n.lock(t.Context(), wholeNetwork)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*pollInterval)
	defer cancel()
	if _, err := n.lock(ctx, wholeNetwork); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v while it is locked", err)
	}
	unlock()
	again, err := n.lock(t.Context(), wholeNetwork)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
