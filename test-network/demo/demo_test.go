package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

// A shell takes what is printed to be pasted as it stands, whatever the folder is called.
func TestHintsCanBePasted(t *testing.T) {
	const folder = `/home/o'neil & "sons"/my $HOME; projects`
	o := defaults()
	o.programs = folder + "/bin"
	hints := o.hints(folder+"/profile.yaml", folder+"/identity", "demo-1")
	script := ""
	for line := range strings.Lines(hints) {
		command, ok := strings.CutPrefix(line, "    ")
		switch {
		case !ok:
		case strings.HasPrefix(command, "export "):
			script += command
		default:
			script += "printf '%s\\n' " + command
		}
	}
	out, err := exec.Command("sh", "-euc", script+"printf '%s\\n' \"$MEDFED_PROFILE\" \"$MEDFED_IDENTITY\"").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, script)
	}
	medfed := folder + "/bin/medfed"
	want := strings.Join([]string{
		medfed, "task", "show", "demo-1", medfed, "lineage", "demo-1", medfed, "history", "demo-1", "--round", "1", "make", "down",
		folder + "/profile.yaml", folder + "/identity", "",
	}, "\n")
	if string(out) != want {
		t.Errorf("the shell made of it\n%swant\n%s", out, want)
	}
}

// The demo ends as the medfed command that failed did, or as medfed would.
func TestStatus(t *testing.T) {
	child := func(status int) error { return exec.Command("sh", "-c", fmt.Sprint("exit ", status)).Run() }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"done", t.Context(), nil, exit.OK},
		{"medfed network up failed", t.Context(), fmt.Errorf("medfed network up did not succeed (%w)", child(exit.Network)), exit.Network},
		{"medfed failed in a scenario", t.Context(), fmt.Errorf("MF-SCENARIO: medfed task create failed (%w)", child(exit.Unreachable)), exit.Unreachable},
		{"down failed too", t.Context(), errors.Join(codes.Errorf("MF-REPORT-WRITE", "no room"), nil), exit.Write},
		{"no data", t.Context(), codes.Errorf("MF-DATA-ABSENT", "none"), exit.Data},
		{"no code", t.Context(), errors.New("broken"), exit.Internal},
		{"interrupted", ended, fmt.Errorf("medfed network up did not succeed (%w)", child(exit.Network)), exit.Interrupted},
	} {
		if got := status(c.ctx, c.err); got != c.want {
			t.Errorf("%s: status %d, want %d", c.name, got, c.want)
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for _, args := range [][]string{{"--no-such-flag"}, {"breastmnist"}, {"--rounds", "many"}, {"poisoned-node", "task", "--shard", "9"}} {
		c := command()
		c.SetArgs(args)
		if err := c.ExecuteContext(t.Context()); status(t.Context(), err) != exit.Usage {
			t.Errorf("%q: %v", args, err)
		}
	}
}
