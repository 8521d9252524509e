// Package scenario runs a federated task on a running network, every
// participant a process of its own, watches it as an auditor would, and
// measures it. The demo shows one scenario; the end-to-end tests run others and
// break things while they run. Its own errors begin with:
//
//	MF-SCENARIO  a scenario can't be run, or came to another end than it must
package scenario

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/network"
	"github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/trainer/dataset"
)

// Config is one scenario.
type Config struct {
	Network  *network.Network // up
	Programs string           // folder of medfed and of the demo
	Dir      string           // logs, journals and reports go here; made when absent
	Task     string
	Seed     int64         // of the split into shares
	Terms    []string      // flags of medfed task create, besides the task's name
	Data     *dataset.Data // what the nodes train on, a share each
	Folder   string        // of data sets, for the nodes; "" for none
	Poisoned string        // node ID that sends poisoned weights, "" for none
	From     int           // round from which it does

	// OnPhase is called when a round changes its phase, OnRound when it is
	// final. Both may be nil. They are called one at a time.
	OnPhase func(*Scenario, fl.Event)
	OnRound func(report.Round)
}

// Scenario is a running one.
type Scenario struct {
	Config
	coordinator member
	nodes       []member
	observer    *observer
}

// member is an identity that takes part.
type member struct {
	id, org  string // "MSP/name", and the organisation's name
	name     string
	identity string // MSP folder
	profile  string
	shard    int // which share of the data, from 0
	process  *Process
}

// Prepare finds who takes part: every trainer and the first coordinator that
// consortium.yaml names.
func Prepare(c Config) (*Scenario, error) {
	s := &Scenario{Config: c}
	for _, o := range c.Network.Consortium().Organisations {
		for _, identity := range o.Identities {
			m := member{
				id: o.MSP + "/" + identity.Name, org: o.Name, name: identity.Name, profile: c.Network.Profile(o.Name),
				identity: filepath.Join(c.Network.StateDir(), "identities", o.Name, identity.Name),
			}
			switch {
			case identity.Role == consortium.RoleTrainer:
				m.shard = len(s.nodes)
				s.nodes = append(s.nodes, m)
			case identity.Role == consortium.RoleCoordinator && s.coordinator.id == "":
				s.coordinator = m
			}
		}
	}
	if s.coordinator.id == "" || len(s.nodes) == 0 {
		return nil, codes.Errorf("MF-SCENARIO", "consortium.yaml names no coordinator or no trainer; add one to an organisation's identities")
	}
	if c.Poisoned != "" && s.find(c.Poisoned) == nil {
		return nil, codes.Errorf("MF-SCENARIO", "there is no node %s to poison; name one of consortium.yaml", c.Poisoned)
	}
	return s, os.MkdirAll(filepath.Join(c.Dir, "nodes"), 0o755)
}

// Run creates the task, starts every participant, and watches until the task
// has completed. It returns the rounds in the order they were opened. Whatever
// happens, no participant is left running.
func (s *Scenario) Run(ctx context.Context) ([]report.Round, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.createTask(ctx); err != nil {
		return nil, err
	}
	observer, err := s.observe(ctx)
	if err != nil {
		return nil, err
	}
	s.observer = observer
	defer observer.close()
	defer s.stopAll()
	if err := s.startAll(ctx); err != nil {
		return nil, err
	}
	return observer.watch(ctx)
}

// createTask runs medfed task create as the coordinator.
func (s *Scenario) createTask(ctx context.Context) error {
	args := append([]string{"task", "create", s.Task, "--profile", s.coordinator.profile, "--identity", s.coordinator.identity, "--format", "json"}, s.Terms...)
	cmd := exec.CommandContext(ctx, filepath.Join(s.Programs, "medfed"), args...)
	cmd.Env = s.environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("medfed task create failed (%w): %s", err, out)
	}
	return nil
}

// startAll starts the coordinator and every node.
func (s *Scenario) startAll(ctx context.Context) error {
	for _, m := range append([]*member{&s.coordinator}, s.members()...) {
		process, err := s.start(ctx, m)
		if err != nil {
			return err
		}
		m.process = process
	}
	return nil
}

func (s *Scenario) members() []*member {
	var all []*member
	for i := range s.nodes {
		all = append(all, &s.nodes[i])
	}
	return all
}

func (s *Scenario) stopAll() {
	for _, m := range append(s.members(), &s.coordinator) {
		if m.process != nil {
			m.process.Stop()
		}
	}
}

// start runs one participant: medfed node run, or the demo's own poisoned node.
func (s *Scenario) start(ctx context.Context, m *member) (*Process, error) {
	program, args := "medfed", []string{"node", "run", s.Task}
	if m.id == s.Poisoned {
		program, args = "demo", []string{"poisoned-node", s.Task, "--from", strconv.Itoa(s.From)}
	}
	args = append(args, "--profile", m.profile, "--identity", m.identity, "--journal", s.journal(m))
	if m.id == s.coordinator.id {
		args = append(args, "--expect-nodes", strconv.Itoa(len(s.nodes)))
	} else {
		args = append(args, "--data", s.Data.Name, "--shard", fmt.Sprintf("%d/%d", m.shard+1, len(s.nodes)), "--seed", strconv.FormatInt(s.Seed, 10))
	}
	return startProcess(ctx, filepath.Join(s.Programs, program), args, s.environment(), s.log(m))
}

func (s *Scenario) environment() []string { return ownEnvironment(s.Folder) }

// ownEnvironment is this process's environment without medfed's own variables,
// but for the folder of data sets, "" for none.
func ownEnvironment(folder string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return len(v) >= 7 && v[:7] == "MEDFED_" })
	if folder != "" {
		env = append(env, dataset.FolderVariable+"="+folder)
	}
	return env
}

func (s *Scenario) journal(m *member) string {
	return filepath.Join(s.Dir, "nodes", fileName(m.id)+".journal")
}

func (s *Scenario) find(id string) *member {
	for i := range s.nodes {
		if s.nodes[i].id == id {
			return &s.nodes[i]
		}
	}
	if s.coordinator.id == id {
		return &s.coordinator
	}
	return nil
}

// Participant is the process of a node or of the coordinator, nil when there is
// none of that ID.
func (s *Scenario) Participant(id string) *Process {
	if m := s.find(id); m != nil {
		return m.process
	}
	return nil
}

// Coordinator is the coordinator's ID.
func (s *Scenario) Coordinator() string { return s.coordinator.id }

// fileName turns "MSP/name" into a file's name.
func fileName(id string) string {
	name := []rune(id)
	for i, r := range name {
		if r == '/' {
			name[i] = '-'
		}
	}
	return string(name)
}

// Round reads a round of the running task.
func (s *Scenario) Round(ctx context.Context, number int) (fl.RoundState, error) {
	return s.observer.ledger.Rounds.GetRound(ctx, fl.RoundRequest{Task: s.Task, Round: number})
}

// TaskState reads the running task.
func (s *Scenario) TaskState(ctx context.Context) (fl.TaskState, error) {
	return s.observer.ledger.Tasks.GetTask(ctx, fl.TaskRequest{Task: s.Task})
}

// Logs are the last lines of every participant's log, for the one who looks for
// what went wrong.
func (s *Scenario) Logs() string {
	var all strings.Builder
	for _, m := range append(s.members(), &s.coordinator) {
		text, err := os.ReadFile(s.log(m))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&all, "%s\n  %s\n", m.id, strings.Join(lines[max(0, len(lines)-5):], "\n  "))
	}
	return all.String()
}

func (s *Scenario) log(m *member) string {
	return filepath.Join(s.Dir, "nodes", fileName(m.id)+".log")
}
