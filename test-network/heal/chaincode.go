package main

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"syscall"
	"time"

	"github.com/medfed/medfed/client/session"
)

// stopped is what goes on while the chaincode service of one of five organisations hangs.
type stopped struct {
	Rounds  int     `json:"rounds"`                      // that closed meanwhile
	Pace    float64 `json:"pace"`                        // of it, in parts of the pace before
	Slowest float64 `json:"slowest_transaction_seconds"` // of the nodes and of clients that have just begun
	Seconds float64 `json:"seconds"`                     // that it hung
}

const (
	hangs       = 95 * time.Second
	hangsQuick  = 20 * time.Second
	roundsFirst = 5 // whose pace is the measure
	roundsMany  = 20
	askEvery    = 10 * time.Second // by a client that has just begun
	slowestBar  = 5.0              // seconds
)

// chaincodeStopped stops the chaincode service of an organisation with two nodes while
// rounds go on.
func (b *bench) chaincodeStopped(ctx context.Context) (any, error) {
	const service = "chaincode-hospital1"
	t, err := b.start(ctx, "hang", 500)
	if err != nil {
		return nil, err
	}
	defer t.stop() // once more is harmless
	if err := t.await(ctx, 1); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := t.await(ctx, 1+roundsFirst); err != nil {
		return nil, err
	}
	before := roundsFirst / time.Since(began).Seconds()
	b.Say("undisturbed %.1f s a round", 1/before)
	lasts := hangs
	if b.quick {
		lasts = hangsQuick
	}
	from := time.Now()
	if err := b.network.SignalProcess(service, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	newcomers := make(chan float64)
	go func() { newcomers <- b.newcomers(ctx, from.Add(lasts)) }()
	rounds, err := t.during(ctx, lasts)
	late := <-newcomers
	if err := errors.Join(err, b.network.SignalProcess(service, syscall.SIGCONT)); err != nil {
		return nil, err
	}
	until := time.Now()
	if err := t.await(ctx, t.rounds+2); err != nil {
		return nil, err
	}
	slowest, err := t.slowest(from, until.Add(slowestBar*time.Second))
	if err != nil {
		return nil, err
	}
	b.Say("slowest of a node: %s of %s, %.1f s; of a client that has just begun: %.1f s", slowest.Detail, slowest.Node, slowest.Seconds, late)
	result := stopped{
		Rounds: rounds, Pace: round(float64(rounds) / lasts.Seconds() / before), Slowest: round(max(slowest.Seconds, late)), Seconds: lasts.Seconds(),
	}
	b.Bar(b.quick || result.Pace >= 0.5, "rounds went on at %.2f of their pace, want half", result.Pace)
	b.Bar(result.Slowest <= slowestBar, "a transaction took %.1f s, want at most %.0f s", result.Slowest, slowestBar)
	return result, t.stop()
}

// newcomers are clients, of that organisation and of others, that submit one transaction
// each, from time to time, and know nothing of what others have found out; the result is
// the longest it took one, in seconds, infinite where it failed.
func (b *bench) newcomers(ctx context.Context, until time.Time) (slowest float64) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for time.Now().Before(until) {
		for _, org := range []string{"hospital1", "hospital2", "researchcentre"} {
			began := time.Now()
			if err := b.submit(ctx, org); err != nil {
				b.Say("a client of %s: %v", org, err)
				return math.Inf(1)
			}
			slowest = max(slowest, time.Since(began).Seconds())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return slowest
		}
	}
	return slowest
}

// submit carries a transaction that writes nothing through as a node of an organisation.
func (b *bench) submit(ctx context.Context, org string) error {
	g, err := session.Connect(b.network.Profile(org), b.network.IdentityDir(org, "node1"))
	if err != nil {
		return err
	}
	defer g.Close()
	return g.Submit(ctx, "task:ListTasks", map[string]int{"page_size": 1}, nil)
}

// logs lets a task go through 20 rounds and gives the size of all logs, in 10^6 bytes. The
// task goes on.
func (b *bench) logs(ctx context.Context) (any, error) {
	if b.quick {
		b.Unmeasured("log_mb_after_20_rounds: it takes 20 rounds")
		return nil, nil
	}
	var err error
	if b.many, err = b.start(ctx, "rounds", 500); err != nil {
		return nil, err
	}
	if err := b.many.await(ctx, roundsMany); err != nil {
		return nil, errors.Join(err, b.many.stop())
	}
	bytes, err := sizeOf(filepath.Join(b.network.StateDir(), "logs"))
	return round(float64(bytes) / 1e6), err
}

// round leaves two decimals.
func round(x float64) float64 { return math.Round(x*100) / 100 }
