package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"al.essio.dev/pkg/shellescape"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/network"
	"github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/test-network/scenario"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/dataset/source"
)

// poisoned is the node that sends poisoned weights, and from which round.
const (
	poisoned     = "Hospital4MSP/node2"
	poisonedFrom = 3
)

// options are the demo's flags.
type options struct {
	data                             string // "" for pneumoniamnist or, where that can't be had, synthetic
	offline                          bool
	rounds                           int
	seed                             int64
	keep                             bool
	basePort                         int
	consortium, state, dir, programs string
}

func defaults() *options {
	return &options{
		rounds: 8, seed: 1,
		consortium: "test-network/consortium.yaml", state: ".run/network", dir: ".run/demo", programs: ".run/bin",
	}
}

// run is the demo from beginning to end.
func run(ctx context.Context, o *options) (err error) {
	out := newDisplay()
	defer out.close()
	data, err := o.load(ctx, out)
	out.end()
	if err != nil {
		return err
	}
	n, err := o.open()
	if err != nil {
		return err
	}
	wasUp := o.isUp(ctx, n)
	if err := o.medfed(ctx, "network", "up"); err != nil {
		return err
	}
	if !o.keep && !wasUp {
		defer func() {
			err = errors.Join(err, o.medfed(context.WithoutCancel(ctx), "network", "down"))
		}()
	}
	r := o.newReport(n, data)
	if err := report.WriteHeading(out, r); err != nil {
		return err
	}
	if data.Synthetic {
		fmt.Fprintln(out, source.Notice())
	}
	s, err := scenario.Prepare(scenario.Config{
		Network: n, Programs: o.programs, Dir: o.dir, Task: r.Run.Task, Seed: o.seed, Terms: o.terms(), Data: data, Folder: os.Getenv(dataset.FolderVariable),
		Poisoned: poisoned, From: poisonedFrom,
		OnPhase: func(_ *scenario.Scenario, e fl.Event) { out.event(e) },
		OnRound: func(round report.Round) { _ = report.WriteRound(out, round, data.Synthetic, poisonedIn(round)) },
	})
	if err != nil {
		return err
	}
	out.begin("starting", int64(o.rounds*eventsOfRound))
	r.Rounds, err = s.Run(ctx)
	out.end()
	if err != nil {
		return err
	}
	r.FindRejected()
	r.Poisoned.RejectedRounds = slices.DeleteFunc(r.Poisoned.RejectedRounds, func(round int) bool { return round < poisonedFrom })
	consent, err := o.records(ctx, out, n, data)
	if err != nil {
		return err
	}
	r.Consent = &consent
	return o.finish(out, r, n)
}

// records plays the record scene and prints each step.
func (o *options) records(ctx context.Context, out io.Writer, n *network.Network, data *dataset.Data) (report.Consent, error) {
	title := "── a record and a consent "
	if data.Synthetic {
		title = "── a record and a consent · SYNTHETIC "
	}
	fmt.Fprintf(out, "\n%s%s\n", title, strings.Repeat("─", report.Width-utf8.RuneCountInString(title)))
	return scenario.Records(ctx, scenario.RecordConfig{
		Network: n, Programs: o.programs, Dir: filepath.Join(o.dir, "records"), Data: data,
		Log: func(format string, arguments ...any) { fmt.Fprintf(out, "  "+format+"\n", arguments...) },
	})
}

// load finds the data before anything is started, and settles on a set when none is
// named.
func (o *options) load(ctx context.Context, out *display) (*dataset.Data, error) {
	from := source.Options{Folder: os.Getenv(dataset.FolderVariable), AllowDownload: !o.offline, Progress: out.download}
	chosen, _, err := source.Choose(ctx, o.data, from)
	if err != nil {
		return nil, err
	}
	o.data = chosen
	return dataset.Load(ctx, o.data, from)
}

func (o *options) open() (*network.Network, error) {
	c, err := network.Load(o.consortium)
	if err != nil {
		return nil, err
	}
	if o.basePort != 0 {
		c.BasePort = o.basePort
	}
	return network.Open(c, o.state, o.programs)
}

// isUp reports whether the network runs already, so that it is not the demo's to
// take down.
func (o *options) isUp(ctx context.Context, n *network.Network) bool {
	processes, err := n.Status(ctx)
	if err != nil {
		return false
	}
	for _, p := range processes {
		if p.PID == 0 {
			return false
		}
	}
	return len(processes) > 0
}

// medfed runs the CLI on the demo's network, with its progress on this terminal.
func (o *options) medfed(ctx context.Context, args ...string) error {
	args = append(args, "--consortium", o.consortium, "--state", o.state, "--bin", o.programs)
	if o.basePort != 0 {
		args = append(args, "--base-port", strconv.Itoa(o.basePort))
	}
	cmd := exec.CommandContext(ctx, filepath.Join(o.programs, "medfed"), args...)
	cmd.Stderr = os.Stderr // its progress; what it prints at the end is for medfed network status
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("medfed %s %s did not succeed (%w); its own message is above", args[0], args[1], err)
	}
	return nil
}

// terms are the flags of task create. With 9 nodes, 4 of them masters from 4
// organisations, every update has at least 3 scores of other organisations:
// f = 1 lying master is survived.
func (o *options) terms() []string {
	return []string{
		"--data", o.data, "--rounds", strconv.Itoa(o.rounds), "--seed", strconv.FormatInt(o.seed, 10),
		"--metric", "auc", "--threshold-kind", "relative", "--threshold", "0.1", "--f", "1", "--masters", "4", "--participation", "1",
	}
}

func (o *options) newReport(n *network.Network, data *dataset.Data) report.Report {
	peers, orderers := 0, 0
	for _, org := range n.Consortium().Organisations {
		if org.Kind.Member() {
			peers++
		}
		if org.Orderer {
			orderers++
		}
	}
	now := time.Now()
	return report.Report{
		Run: report.Run{
			Task: "demo-" + now.UTC().Format("20060102-150405"), Seed: o.seed, Commit: commit(), Date: now.Format(time.RFC3339),
			Command: "make demo DATA=" + o.data, Partition: dataset.IID, Machine: fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
			Rule: "An update is accepted when the median of its AUC is at most 0.1 below the previous global model's, and 0.1 more after each round in a row that accepted none.",
		},
		Data:     report.Data{Name: data.Name, SHA256: data.SHA256, Synthetic: data.Synthetic},
		Network:  report.Network{Peers: peers, Orderers: orderers, Consensus: "SmartBFT", Fabric: network.FabricVersion},
		Poisoned: report.Poisoned{Node: poisoned},
	}
}

// commit is the revision of medfed that runs, "" outside a git checkout.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil || len(out) < 40 {
		return ""
	}
	return string(out[:40])
}

func poisonedIn(round report.Round) string {
	if round.Round >= poisonedFrom {
		return poisoned
	}
	return ""
}

// finish writes the reports, says where they are and, on a network left up, what
// to try next.
func (o *options) finish(out io.Writer, r report.Report, n *network.Network) error {
	jsonFile, htmlFile := filepath.Join(o.dir, "report.json"), filepath.Join(o.dir, "report.html")
	if err := errors.Join(report.WriteJSON(jsonFile, r), report.WriteHTML(htmlFile, r)); err != nil {
		return err
	}
	if r.Last() == nil {
		return codes.Errorf("MF-SCENARIO", "no round closed; see the logs in %s", o.dir)
	}
	if err := report.WriteSummary(out, r); err != nil {
		return err
	}
	fmt.Fprintf(out, "report   %s\n         %s\n", htmlFile, jsonFile)
	if o.keep {
		fmt.Fprint(out, o.hints(n.Profile("researchcentre"), n.IdentityDir("researchcentre", "coordinator"), r.Run.Task))
	}
	return nil
}

// hints says what to try on a network that is left up, in words that a shell takes as
// they stand, whatever the folders are called.
func (o *options) hints(profile, identity, task string) string {
	medfed := shellescape.Quote(filepath.Join(o.programs, "medfed"))
	return fmt.Sprintf(`
  The network is still up. To look around:
    export MEDFED_PROFILE=%s
    export MEDFED_IDENTITY=%s
    %[3]s task show %[4]s
    %[3]s lineage %[4]s
    %[3]s history %[4]s --round 1
    make down
`, shellescape.Quote(profile), shellescape.Quote(identity), medfed, shellescape.Quote(task))
}
