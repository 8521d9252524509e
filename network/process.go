package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
)

// process is a server of the network: how it is started and how one sees that
// it serves.
type process struct {
	name    string
	host    string            // where it belongs
	program string            // in the folder of binaries
	args    []string          //
	env     []string          // besides what every process gets
	dir     string            // working folder
	ports   map[string]string // what for -> address it listens on
	healthy func(context.Context) error
}

// running is what is written down of a started process. A process ID alone is
// not enough: the system gives it to another process once this one has ended.
type running struct {
	PID     int    `json:"pid"`
	Started string `json:"started"` // when, in the system's own terms
}

// Another process is asked, at first so often, whether it serves or has ended: there is
// no event to wait for. Then it is asked ever more seldom, by a tenth of the time waited,
// for some servers write a page into their log for each question they can't answer.
const (
	pollInterval   = 25 * time.Millisecond
	pollLongest    = time.Second
	pollProportion = 10
)

// pollPause is how long to wait with the next question after so long a time.
func pollPause(waited time.Duration) time.Duration {
	return min(pollLongest, max(pollInterval, waited/pollProportion))
}

// logTail is how many lines of a log an error shows.
const logTail = 15

func (n *Network) runFile(name string) string { return n.path("run", name+".json") }

// current reports whether a process that this network started still runs, and its
// process ID.
func (n *Network) current(name string) (pid int, alive bool) {
	r, err := n.readRunning(name)
	if err != nil {
		return 0, false
	}
	started, ok := startOf(r.PID)
	if !ok || started != r.Started {
		return 0, false
	}
	return r.PID, true
}

// readRunning reads what is written down of a process.
func (n *Network) readRunning(name string) (r running, err error) {
	if err := readJSON(n.runFile(name), &r); err != nil {
		return r, err
	}
	if r.PID <= 0 {
		return r, errors.New("it names no process")
	}
	return r, nil
}

// writeRunning writes a process down.
func (n *Network) writeRunning(name string, pid int) error {
	started, ok := startOf(pid)
	if !ok {
		return n.processError(name, "ended at once")
	}
	record, err := json.Marshal(running{pid, started})
	if err == nil {
		err = writeFile(n.runFile(name), record, 0o600)
	}
	if err != nil {
		return n.stateError(err)
	}
	return nil
}

// markVariable is in the environment of every process that is launched, with the
// file that it is written down in: by it, and by nothing that another program
// could have as well, a process is found again when that file is lost.
const markVariable = "MEDFED_NETWORK_PROCESS"

// findAgain writes down again those processes of this network that run though the
// file that says so is gone, empty or damaged. What a damaged file was of and is
// not found must not run: where something listens on its ports, that is refused,
// and otherwise the file goes.
//
// Codes: MF-NETWORK-RUNFILE, MF-NETWORK-STATE.
func (n *Network) findAgain() error {
	var failed []error
	for pid, file := range marked(markVariable) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if file != n.runFile(name) {
			continue
		}
		if _, alive := n.current(name); !alive {
			failed = append(failed, n.writeRunning(name, pid))
		}
	}
	for _, name := range n.started() {
		if _, err := n.readRunning(name); err != nil {
			failed = append(failed, n.dropRunning(name, err))
		}
	}
	return errors.Join(failed...)
}

// dropRunning removes the damaged file of a process that does not run.
func (n *Network) dropRunning(name string, damage error) error {
	if p, err := n.process(name); err == nil {
		for use, listens := range p.ports {
			if free(listens) != nil {
				return codes.Wrapf("MF-NETWORK-RUNFILE", "%s, which says which process is %s, is damaged (%w), and something that this network does not know as its own listens on %s for %s; find out what it is (ss -ltnp), end it if it is %s, and try again", n.runFile(name), name, damage, listens, use, name)
			}
		}
	}
	return n.forget(name)
}

// launch starts a process detached from this one: it outlives the command that
// started it and gets none of its terminal's signals.
func (n *Network) launch(p *process) error {
	binary, err := n.binary(p.program)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(n.logFile(p.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return n.stateError(err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(binary, p.args...)
	cmd.Dir, cmd.Env = p.dir, environment(append([]string{markVariable + "=" + n.runFile(p.name)}, p.env...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return codes.Wrapf("MF-NETWORK-PROCESS", "%s can't be started: %w; build the servers again with make tools", p.name, err)
	}
	go cmd.Wait()                                                   // only reaps it: whether it lives is asked of the system
	if err := n.writeRunning(p.name, cmd.Process.Pid); err != nil { // nothing may run that is not written down
		_ = cmd.Process.Kill()
		return err
	}
	return nil
}

// awaitHealthy returns when the process serves, with an error that shows the
// end of its log when it has ended or the time is up. One that ran before and
// does not answer is not waited for as long as one that has just been started.
func (n *Network) awaitHealthy(ctx context.Context, p *process, ranBefore bool) error {
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Start)
	defer cancel()
	var last error
	hung := 0
	err := poll(limited, func() (bool, error) {
		pid, alive := n.current(p.name)
		if !alive {
			return false, n.processError(p.name, "ended")
		}
		last = p.healthy(limited)
		if hung++; !hangs(last) {
			hung = 0
		}
		if ranBefore && hung >= patience || hung > 0 && suspended(pid) {
			return false, hanging(p.name, pid)
		}
		return last == nil, nil
	})
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return n.processError(p.name, "does not serve after "+n.consortium.Timeouts.Start.String()+" ("+errorText(last)+")")
	}
	return err
}

// patience is how many questions for its health in a row a process may leave
// without an answer before it counts as one that hangs.
const patience = 5

// hangs reports whether the answer to a question for health is that none came in
// time: the process lives and takes connections, or the system does for it.
func hangs(err error) bool {
	var late net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) && late.Timeout()
}

// hanging says that a process runs and does not answer, and what to do about it.
func hanging(name string, pid int) *codes.Error {
	if suspended(pid) {
		return codes.Errorf(processHangs, "%s (process %d) is suspended by a signal and answers nothing; let it go on with kill -CONT %d", name, pid, pid)
	}
	return codes.Errorf("MF-NETWORK-HANGS", "%s (process %d) runs and does not answer; wait if the machine is busy, or run medfed network up, which ends it and starts it again: it loses nothing that it has confirmed", name, pid)
}

func errorText(err error) string {
	if err == nil {
		return "it was not asked in time"
	}
	return err.Error()
}

// stop asks a process to end and kills it when it does not within the time
// given. A stopped (SIGSTOP) process is woken so that it can hear.
func (n *Network) stop(ctx context.Context, name string) error {
	pid, alive := n.current(name)
	if !alive {
		return n.forget(name)
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		_ = syscall.Kill(pid, signal)
	}
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Stop)
	defer cancel()
	if n.awaitEnd(limited, name) == nil {
		return n.forget(name)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return n.kill(ctx, name)
}

// kill ends a process by force and waits until it is gone.
func (n *Network) kill(ctx context.Context, name string) error {
	pid, alive := n.current(name)
	if alive {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Stop)
	defer cancel()
	if err := n.awaitEnd(limited, name); err != nil {
		return codes.Errorf("MF-NETWORK-PROCESS", "%s (process %d) was killed and does not end, as one does not that waits for a disk; see what it waits for (ps -o stat,wchan %d), it ends when that answers", name, pid, pid)
	}
	return n.forget(name)
}

func (n *Network) awaitEnd(ctx context.Context, name string) error {
	return poll(ctx, func() (bool, error) {
		_, alive := n.current(name)
		return !alive, nil
	})
}

// forget removes what was written down of a process that has ended.
func (n *Network) forget(name string) error {
	if err := os.Remove(n.runFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return n.stateError(err)
	}
	return nil
}

// poll calls done until it says so, fails, or the context ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	began := time.Now()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		timer := time.NewTimer(pollPause(time.Since(began)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// processError names a process that failed and shows the end of its log.
func (n *Network) processError(name, what string) error {
	return codes.Errorf("MF-NETWORK-PROCESS", "%s %s; see %s, which ends:\n%s", name, what, n.logFile(name), tail(n.logFile(name)))
}

// tail is the last lines of a log, and of its older part where it has just been
// rotated, without the stack of a program that panicked; "" when it can't be read.
func tail(path string) string {
	return lastLines(append(end(path+olderPart), end(path)...))
}

// end is the last part of a file up to a stack, none when it can't be read.
func end(path string) []byte {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close() // only read
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart)
	}
	raw, _ := io.ReadAll(f)
	before, _, _ := bytes.Cut(raw, []byte("\ngoroutine "))
	return before
}

// lastLines is the end of a text, without the far ends of very long lines.
func lastLines(text []byte) string {
	const longest = 500
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-logTail):]
	for i, line := range lines {
		if len(line) > longest {
			lines[i] = strings.ToValidUTF8(line[:longest], "") + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// fabricLogging makes the Fabric servers log what an operator must see, without
// colours. The exceptions would report every client that goes away and every
// try to reach a server that is still starting.
var fabricLogging = []string{
	"FABRIC_LOGGING_SPEC=WARN:orderer.common.broadcast=error:grpc=error:container=error",
	"FABRIC_LOGGING_FORMAT=%{time:2006-01-02 15:04:05.000 MST} %{level:.4s} [%{module}] %{message}",
}

// binary finds a program in the folder of binaries.
func (n *Network) binary(program string) (string, error) {
	path := filepath.Join(n.bin, program)
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", codes.Errorf("MF-NETWORK-BINARY", "there is no program %s; build it with make tools build", path)
	}
	return path, nil
}

// tool runs a program to its end and returns what it printed on standard output.
func (n *Network) tool(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	binary, err := n.binary(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = environment(env...), n.state
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, codes.Wrapf("MF-NETWORK-TOOL", "%s failed (%w); it said:\n%s", commandLine(program, args), err, lastLines(append(out.Bytes(), messages.Bytes()...)))
	}
	return out.Bytes(), nil
}

// commandLine is a program with its subcommand, without flags and their values.
func commandLine(program string, args []string) string {
	words := []string{program}
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			break
		}
		words = append(words, filepath.Base(arg))
	}
	return strings.Join(words, " ")
}

// foreign are the prefixes of environment variables that would override what
// the configuration files say.
var foreign = []string{"CORE_", "ORDERER_", "FABRIC_", "CHAINCODE_", "IPFS_", "LIBP2P_", "GOLOG_", "KUBO_"}

// environment is this process's own without settings of the servers, and the
// given ones.
func environment(extra ...string) []string {
	var env []string
	for _, variable := range os.Environ() {
		if !hasPrefix(variable, foreign) {
			env = append(env, variable)
		}
	}
	return append(env, extra...)
}

func hasPrefix(s string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// writeFile writes a file whole or not at all, with its folder.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, content, mode, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
}

// stateError says that the state folder can't be used.
func (n *Network) stateError(err error) error {
	return codes.Wrapf("MF-NETWORK-STATE", "%w; make %s writable or name another state folder", err, n.state)
}
