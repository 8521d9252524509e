package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/session"
	"github.com/medfed/medfed/trainer/model"
)

// fakeVariable names the folder of a script's fake ledger; without it medfed
// connects as it does in production.
const fakeVariable = "FAKE_LEDGER"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"medfed": func() {
		a := newApp(os.Stdout, os.Stderr)
		if folder := os.Getenv(fakeVariable); folder != "" {
			a.openLedger = func(string, string) (ledgerClient, error) { return fakeLedger(folder), nil }
			a.openStores = func(profile string) (session.Stores, error) { return fakeStores(folder, profile), nil }
		}
		os.Exit(run(context.Background(), a, os.Args[1:]))
	}})
}

func TestScripts(t *testing.T) {
	deadline, _ := t.Deadline()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Deadline:            deadline,
		Setup:               setUp,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "sealed": sealed, "cut": cut, "pictures": pictures, "backbone": writeBackbone},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	})
}

// setUp gives every script an enrolled identity in msp, a connection profile, and
// the first weights of the six-layer CNN for 28×28 grey images and two classes in
// good.safetensors.
func setUp(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
	if err := writeMSP(filepath.Join(env.WorkDir, "msp"), "coordinator", consortium.RoleCoordinator); err != nil {
		return err
	}
	w, err := model.Initial(model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 28, Classes: 2}, 1)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "good.safetensors"), w.Bytes(), 0o600)
}

// exits runs a command and checks its exit status: exits 2 medfed tsk.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var status *exec.ExitError
		if !errors.As(err, &status) {
			ts.Fatalf("%v", err)
		}
		got = status.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// sealed puts a weights file into the fake store, encrypted to the identity of
// an MSP folder, and writes its reference as JSON: sealed FILE MSP LEDGER REF.
func sealed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: sealed FILE MSP LEDGER NAME")
	}
	w, _, err := model.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	key, err := session.AgeKey(ts.MkAbs(args[1]))
	ts.Check(err)
	ref, err := node.Put(context.Background(), fakeStore(filepath.Join(ts.MkAbs(args[2]), "ipfs")), w, []string{key.Recipient()})
	ts.Check(err)
	text, err := json.Marshal(ref)
	ts.Check(err)
	ts.Setenv(args[3], string(text))
	ts.Setenv(args[3]+"_CID", ref.CID)
	ts.Setenv(args[3]+"_SIZE", strconv.FormatInt(ref.Size, 10))
}

// cut writes the first bytes of a file: cut 1000 FROM TO.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cut BYTES FROM TO")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	content, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), content[:n], 0o600))
}

// pictures makes a folder of images, two small ones in each of so many classes:
// pictures CLASSES FOLDER.
func pictures(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pictures CLASSES FOLDER")
	}
	classes, err := strconv.Atoi(args[0])
	ts.Check(err)
	for class := range classes {
		folder := filepath.Join(ts.MkAbs(args[1]), fmt.Sprintf("class%d", class))
		ts.Check(os.MkdirAll(folder, 0o700))
		for i := range 2 {
			picture := image.NewGray(image.Rect(0, 0, 8, 8))
			for p := range picture.Pix {
				picture.Pix[p] = byte(90*i + 100*class*(p%2))
			}
			f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%d.png", i)))
			ts.Check(err)
			ts.Check(png.Encode(f, picture))
			ts.Check(f.Close())
		}
	}
}

// writeBackbone writes weights for VGG16 that a seed draws, as a file of another origin
// would hold them, and sets a variable to their digest: backbone SEED FILE NAME.
func writeBackbone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: backbone SEED FILE NAME")
	}
	seed, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	w, err := model.InitialBackbone(model.Spec{Name: model.VGG16, Channels: 3, Size: 224, Classes: 2}, seed)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), w.Bytes(), 0o600))
	ts.Setenv(args[2], w.Digest())
}

// fakeLedger is a folder of answers: the one to round:GetRound for round 3 is
// round-GetRound-3.json, or round-GetRound.json for any; environment variables in
// it are expanded, and one that begins with a code is a refusal. What is
// submitted is kept beside it as task-CreateTask.request.json.
type fakeLedger string

func (f fakeLedger) Identity() *gateway.Identity {
	return &gateway.Identity{MSP: "ResearchCentreMSP", Name: "coordinator", Role: consortium.Role(os.Getenv("FAKE_ROLE"))}
}

func (f fakeLedger) Close() error { return nil }

func (f fakeLedger) Submit(ctx context.Context, transaction string, request, result any) error {
	text, err := json.MarshalIndent(request, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.file(transaction, ".request"), text, 0o600); err != nil {
		return err
	}
	return f.Evaluate(ctx, transaction, request, result)
}

func (f fakeLedger) Evaluate(_ context.Context, transaction string, request, result any) error {
	number := struct{ Round int }{}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	_ = json.Unmarshal(text, &number)
	answer, err := os.ReadFile(f.file(transaction, fmt.Sprintf("-%d", number.Round)))
	if err != nil {
		answer, err = os.ReadFile(f.file(transaction, ""))
	}
	if err != nil {
		return codes.Errorf("MF-GATEWAY-UNREACHABLE", "the fake ledger has no answer to %s; write one", transaction)
	}
	expanded := os.Expand(strings.TrimSpace(string(answer)), os.Getenv)
	if strings.HasPrefix(expanded, "MF-") {
		return fmt.Errorf("rpc error: code = Aborted desc = chaincode response 500, %w", codes.Parse(expanded))
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal([]byte(expanded), result)
}

// Events gives none, until the context ends.
func (f fakeLedger) Events(ctx context.Context, _ gateway.Checkpoint) <-chan gateway.Event {
	events := make(chan gateway.Event)
	context.AfterFunc(ctx, func() { close(events) })
	return events
}

func (f fakeLedger) file(transaction, ending string) string {
	return filepath.Join(string(f), strings.ReplaceAll(transaction, ":", "-")+ending+".json")
}

// fakeStore is a folder of files named by their CIDs.
type fakeStore string

func (s fakeStore) Add(_ context.Context, r io.Reader) (string, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	cid, err := ipfs.ComputeCID(strings.NewReader(string(content)))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return "", err
	}
	return cid, os.WriteFile(filepath.Join(string(s), cid), content, 0o600)
}

func (s fakeStore) Get(_ context.Context, cid string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(string(s), cid))
	if err != nil {
		return nil, codes.Wrapf("MF-IPFS-NOT-FOUND", "%w; add it", err)
	}
	return f, nil
}
