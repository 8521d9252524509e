package network

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/medfed/medfed/chaincode/codes"
)

// Down ends every process that Up has started and nothing else: first the peers
// and chaincode services, then the orderers, then the rest. Certificates,
// ledgers and logs stay, and Up goes on from them. On a network that is down it
// does nothing. Codes: MF-NETWORK-PROCESS (one does not end), MF-NETWORK-STATE.
func (n *Network) Down(ctx context.Context) error {
	if !n.holdsNetwork() {
		return nil
	}
	unlock, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return n.stopAll(ctx, n.started())
}

// started lists the processes that are written down as started, even those that
// a changed consortium.yaml no longer has.
func (n *Network) started() []string {
	files, _ := filepath.Glob(n.runFile("*"))
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".json")
	}
	return files
}

// Remove deletes the state folder with every certificate, identity and ledger
// in it. The network must be down. Codes: MF-NETWORK-RUNNING, MF-NETWORK-STATE.
func (n *Network) Remove(ctx context.Context) error {
	if !n.holdsNetwork() {
		return nil
	}
	unlock, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range n.started() {
		if _, alive := n.current(name); alive {
			return codes.Errorf("MF-NETWORK-RUNNING", "%s of %s still runs; take the network down first", name, n.state)
		}
	}
	for _, name := range append([]string{filepath.Base(n.recordFile()), locks}, generated...) {
		if err := os.RemoveAll(n.path(name)); err != nil {
			return n.stateError(err)
		}
	}
	if err := os.Remove(n.state); err != nil && !errors.Is(err, syscall.ENOTEMPTY) { // others' files may lie there
		return n.stateError(err)
	}
	return nil
}

// stopAll stops processes, group by group, each group at once: clients of others
// before those.
func (n *Network) stopAll(ctx context.Context, names []string) error {
	groups := make([]errgroup.Group, 3)
	var failed []error
	for i := range groups {
		for _, name := range names {
			if stopsIn(name) == i {
				groups[i].Go(func() error { return n.stop(ctx, name) })
			}
		}
		failed = append(failed, groups[i].Wait())
	}
	return errors.Join(failed...)
}

// stopsIn is the group in which a process is stopped.
func stopsIn(name string) int {
	switch {
	case hasPrefix(name, []string{"peer-", "chaincode-"}):
		return 0
	case hasPrefix(name, []string{"orderer"}):
		return 1
	default:
		return 2
	}
}

// State is whether a process runs and serves.
type State string

// The states of a process.
const (
	Stopped   State = "stopped"
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy" // runs but does not serve
	Hanging   State = "hanging"   // runs but does not answer
)

// ProcessStatus is what Status finds of a process.
type ProcessStatus struct {
	Name      string            `json:"name"`
	State     State             `json:"state"`
	PID       int               `json:"pid"`       // 0 when stopped
	Memory    int64             `json:"memory"`    // resident, in bytes
	Processor time.Duration     `json:"processor"` // time used, in nanoseconds
	Addresses map[string]string `json:"addresses"` // what for -> where it listens
	Log       string            `json:"log"`       // file
	Problem   string            `json:"problem"`   // why it is unhealthy, "" otherwise
}

// Status asks every process of the network for its health. Codes:
// MF-NETWORK-RUNFILE, MF-NETWORK-STATE.
func (n *Network) Status(ctx context.Context) ([]ProcessStatus, error) {
	if n.holdsNetwork() {
		if err := n.findAgain(); err != nil {
			return nil, err
		}
	}
	all := make([]ProcessStatus, len(n.processes))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, p := range n.processes {
		group.Go(func() error {
			all[i] = n.status(groupCtx, p)
			return nil
		})
	}
	_ = group.Wait()
	return all, ctx.Err()
}

func (n *Network) status(ctx context.Context, p *process) ProcessStatus {
	s := ProcessStatus{Name: p.name, State: Stopped, Addresses: p.ports, Log: n.logFile(p.name)}
	pid, alive := n.current(p.name)
	if !alive {
		return s
	}
	s.PID, s.State = pid, Healthy
	s.Memory, s.Processor = usage(pid)
	if err := p.healthy(ctx); err != nil {
		s.State, s.Problem = Unhealthy, err.Error()
		if hangs(err) && ctx.Err() == nil {
			s.State, s.Problem = Hanging, hanging(p.name, pid).Detail
		}
	}
	return s
}

// StopProcess asks one process to end, as Down does, and waits until it has.
func (n *Network) StopProcess(ctx context.Context, name string) error {
	if _, err := n.process(name); err != nil {
		return err
	}
	return n.stop(ctx, name)
}

// StartProcess starts one process of a network that has been up, and waits
// until it is healthy. It does nothing to one that runs.
func (n *Network) StartProcess(ctx context.Context, name string) error {
	p, err := n.process(name)
	if err != nil {
		return err
	}
	if err := n.mustBeMade(); err != nil {
		return err
	}
	return n.start(ctx, []*process{p}, func() {})
}

// SignalProcess sends a signal to one process: SIGKILL and SIGSTOP are faults,
// SIGCONT ends the latter. After SIGKILL it returns when the process is gone.
func (n *Network) SignalProcess(name string, signal syscall.Signal) error {
	if _, err := n.process(name); err != nil {
		return err
	}
	pid, alive := n.current(name)
	if !alive {
		return codes.Errorf("MF-NETWORK-STOPPED", "%s does not run; start it first", name)
	}
	if signal == syscall.SIGKILL {
		return n.kill(context.Background(), name)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return codes.Wrapf("MF-NETWORK-PROCESS", "%s (process %d) can't be sent %v: %w; send it yourself", name, pid, signal, err)
	}
	return nil
}

func (n *Network) process(name string) (*process, error) {
	var known []string
	for _, p := range n.processes {
		if p.name == name {
			return p, nil
		}
		known = append(known, p.name)
	}
	return nil, codes.Errorf("MF-NETWORK-UNKNOWN", "there is no process %q; it is one of %s", name, strings.Join(known, ", "))
}
