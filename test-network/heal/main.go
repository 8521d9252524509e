// Command heal breaks a real network on purpose, while a federated task runs on it, and
// measures how soon what broke is whole again and whom it stopped meanwhile:
//
//	go run ./test-network/heal [-quick] [-out FILE]
//
// It brings a network of its own up, with the programs of .run/bin, and takes it down at
// the end; nothing is left but the report. What was measured and what the bars are is
// printed; the exit status is 1 where one is missed. What was not measured is null, with
// the reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/bars"
	"github.com/medfed/medfed/network"
)

// report is what is written. A value is nil where it was not measured.
type report struct {
	ServedAfterErasure  any `json:"served_after_erasure"`           // nodes that serve a block of what was erased
	CanaryFiles         any `json:"canary_files_after_erasure"`     // files of the network that hold what was erased
	IPFSPerRound        any `json:"ipfs_mb_per_round_after_20"`     // 10^6 bytes that the largest repository grows by
	RepositoryLost      any `json:"repository_lost_healed_seconds"` //
	PeerLost            any `json:"peer_lost_healed_seconds"`       //
	ChaincodeStopped    any `json:"chaincode_stopped"`              // what goes on while one service of five hangs
	AdviceTested        any `json:"advice_tested"`                  // sentences of advice that tests have followed
	LogsAfterManyRounds any `json:"log_mb_after_20_rounds"`         // 10^6 bytes of all processes' logs
}

// bench is the measuring.
type bench struct {
	*bars.Bars
	network *network.Network // up
	bin     string           // folder of the programs
	folder  string           // for all that is made on the way
	quick   bool
	record  string // that was erased
	canary  string // the patient's number in it
	many    *task  // that goes through many rounds; of the last two steps
}

func main() {
	out := flag.String("out", ".run/heal/report.json", "file for the report")
	bin := flag.String("bin", ".run/bin", "folder of the programs")
	quick := flag.Bool("quick", false, "shorter faults and fewer rounds: shows that it runs, and leaves null what needs all of them")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what clients say of what is broken here on purpose
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	missed, err := run(ctx, *out, *bin, *quick)
	if err != nil {
		fmt.Fprintln(os.Stderr, "heal:", err)
	}
	if err != nil || missed {
		os.Exit(1)
	}
}

// run measures everything and writes the report.
func run(ctx context.Context, out, bin string, quick bool) (missed bool, err error) {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return false, err
	}
	folder, err := os.MkdirTemp(filepath.Dir(out), "work-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(folder)
	if folder, err = filepath.Abs(folder); err != nil {
		return false, err
	}
	b := &bench{Bars: bars.New(os.Stdout), bin: bin, folder: folder, quick: quick}
	if b.network, err = bringUp(ctx, filepath.Join(folder, "network"), bin); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.network.Down(context.WithoutCancel(ctx))) }()
	var r report
	if err := b.measure(ctx, &r); err != nil {
		return false, err
	}
	return b.Write(out, r)
}

// The network takes the first free block of ports from firstPort on, away from those of
// make up and of the tests.
const (
	firstPort = 22000
	portStep  = 250
	lastPort  = 26000
)

// bringUp brings the default network up in a folder.
func bringUp(ctx context.Context, folder, bin string) (n *network.Network, err error) {
	for port := firstPort; port < lastPort; port += portStep {
		c, err := network.Load("test-network/consortium.yaml")
		if err != nil {
			return nil, err
		}
		c.BasePort = port
		if n, err = network.Open(c, filepath.Join(folder, strconv.Itoa(port)), bin); err != nil {
			return nil, err
		}
		if err = n.Up(ctx, nil); err == nil || codes.Of(err) != "MF-NETWORK-PORT" {
			return n, err
		}
	}
	return nil, fmt.Errorf("no %d ports in a row are free from %d to %d; stop what takes them", portStep, firstPort, lastPort)
}

// measure goes through the steps. Each breaks something of the same network and leaves it
// whole for the next.
func (b *bench) measure(ctx context.Context, r *report) error {
	return b.Measure(ctx, []bars.Step{
		{Title: "nodes that serve what was erased", To: &r.ServedAfterErasure, Run: b.erased},
		{Title: "files that hold what was erased", To: &r.CanaryFiles, Run: b.canaryFiles},
		{Title: "one chaincode service of five hangs", To: &r.ChaincodeStopped, Run: b.chaincodeStopped},
		{Title: "an IPFS repository is deleted", To: &r.RepositoryLost, Run: b.repositoryLost},
		{Title: "a peer's folder is deleted", To: &r.PeerLost, Run: b.peerLost},
		{Title: "advice that tests have followed", To: &r.AdviceTested, Run: b.adviceTested},
		{Title: "logs after 20 rounds", To: &r.LogsAfterManyRounds, Run: b.logs},
		{Title: "repositories from round 20 to 60", To: &r.IPFSPerRound, Run: b.repositories},
	})
}
