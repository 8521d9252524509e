package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// The most that medfed network up may take, in seconds.
const healedBar = 40.0

// repositoryLost deletes an IPFS repository, and measures until medfed network up has
// made it whole again.
func (b *bench) repositoryLost(ctx context.Context) (any, error) {
	return b.lost(ctx, "repository", "ipfs-hospital2")
}

// peerLost deletes a peer's folder, and measures until medfed network up has made it
// whole again.
func (b *bench) peerLost(ctx context.Context) (any, error) {
	return b.lost(ctx, "peer", "peer-hospital3")
}

// lost deletes the folder of a process that runs, while a task goes on, and gives how
// many seconds medfed network up takes, which must end no process that is healthy, and
// after which the task must go on.
func (b *bench) lost(ctx context.Context, name, process string) (any, error) {
	t, err := b.start(ctx, name, 500)
	if err != nil {
		return nil, err
	}
	defer t.stop() // once more is harmless
	if err := t.await(ctx, 2); err != nil {
		return nil, err
	}
	before, err := b.processes(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(b.network.StateDir(), "nodes", process)); err != nil {
		return nil, err
	}
	began := time.Now()
	said, err := b.up(ctx)
	if err != nil {
		return nil, err
	}
	seconds := round(time.Since(began).Seconds())
	b.Say("%s", said)
	after, err := b.processes(ctx)
	if err != nil {
		return nil, err
	}
	for other, pid := range before {
		b.Bar(other == process || after[other] == pid, "medfed network up for %s took the place of %s, which was healthy", process, other)
	}
	if err := t.await(ctx, t.rounds+2); err != nil {
		return nil, err
	}
	b.Bar(seconds <= healedBar, "%s was whole again after %.1f s, want at most %.0f s", process, seconds, healedBar)
	return seconds, t.stop()
}

// up runs medfed network up, and gives what it says was lost.
func (b *bench) up(ctx context.Context) (said string, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "medfed"), "network", "up", "--format", "json", "--consortium", "test-network/consortium.yaml",
		"--state", b.network.StateDir(), "--bin", b.bin, "--base-port", strconv.Itoa(b.network.Consortium().BasePort))
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("medfed network up: %w\n%s", err, messages.Bytes())
	}
	var processes []struct {
		Name string `json:"name"`
		Loss *struct{ Healed, Lost, Restore string }
	}
	if err := json.Unmarshal(out.Bytes(), &processes); err != nil {
		return "", err
	}
	for _, p := range processes {
		if p.Loss != nil {
			said += fmt.Sprintf("%s %s; lost for good: %s; %s", p.Name, p.Loss.Healed, p.Loss.Lost, p.Loss.Restore)
		}
	}
	if said == "" {
		return "", errors.New("medfed network up says of nothing that it was lost")
	}
	return said, nil
}

// processes are the process IDs of the network, by name.
func (b *bench) processes(ctx context.Context) (map[string]int, error) {
	all, err := b.network.Status(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[string]int{}
	for _, p := range all {
		ids[p.Name] = p.PID
	}
	return ids, nil
}

// counted is what the test says of its table.
var counted = regexp.MustCompile(`(\d+) sentences of advice are run by tests`)

// adviceTested counts the sentences of advice that tests have followed, of which the
// test that keeps their table tells.
func (b *bench) adviceTested(ctx context.Context) (any, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run", "^TestAdviceIsRun$", "./client/cmd/medfed/codelist").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("the table of advice: %w\n%s", err, out)
	}
	found := counted.FindSubmatch(out)
	if found == nil {
		return nil, fmt.Errorf("the test of the table of advice does not say how many sentences it has:\n%s", out)
	}
	return strconv.Atoi(string(found[1]))
}
