package scenario

import (
	"context"
	"github.com/medfed/medfed/chaincode/codes"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// stopTime is how long a participant may take to end before it is killed.
const stopTime = 5 * time.Second

// restarts bounds how often a participant that failed is started again, as a
// service manager would.
const restarts = 10

// Process is a participant's process, started again when it ends with a failure.
type Process struct {
	mu      sync.Mutex
	command *exec.Cmd
	stopped bool
	done    chan struct{} // closed when it has ended for good
	log     *os.File
	err     error
	starts  int
}

func startProcess(ctx context.Context, program string, args, env []string, logFile string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, codes.Wrapf("MF-SCENARIO", "%w; make the folder writable", err)
	}
	p := &Process{done: make(chan struct{}), log: log}
	launch := func() error {
		command := exec.Command(program, args...)
		command.Env, command.Stdout, command.Stderr = env, log, log
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is the demo's to handle
		p.command = command
		p.starts++
		return command.Start()
	}
	if err := launch(); err != nil {
		log.Close()
		return nil, codes.Wrapf("MF-SCENARIO", "%s can't be started: %w; build it with make build", program, err)
	}
	go p.supervise(launch)
	return p, nil
}

// supervise waits for the process and starts it again when it failed.
func (p *Process) supervise(launch func() error) {
	defer close(p.done)
	defer p.log.Close()
	for {
		p.mu.Lock()
		command := p.command
		p.mu.Unlock()
		err := command.Wait()
		p.mu.Lock()
		again := err != nil && !p.stopped && p.starts <= restarts
		p.err = err
		if again {
			if launchErr := launch(); launchErr != nil {
				p.err, again = launchErr, false
			}
		}
		p.mu.Unlock()
		if !again {
			return
		}
	}
}

// Signal sends a signal to the process that runs now. After SIGKILL it is
// started again.
func (p *Process) Signal(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.command.Process.Signal(signal)
}

// Stop ends it for good, by force when it does not listen.
func (p *Process) Stop() {
	p.mu.Lock()
	p.stopped = true
	_ = p.command.Process.Signal(syscall.SIGTERM) // gone already is as good
	_ = p.command.Process.Signal(syscall.SIGCONT)
	p.mu.Unlock()
	timer := time.AfterFunc(stopTime, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = p.command.Process.Kill()
	})
	defer timer.Stop()
	<-p.done
}
