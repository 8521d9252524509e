package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/medfed/medfed/chaincode/codes"
)

// A peer, or the chaincode service behind it, may hang: it takes what it is sent and
// answers nothing. A peer's gateway finds out by its own time limit, for each
// transaction anew, and meanwhile the hanging peer commits nothing, for what its
// chaincode executes keeps its ledger locked. So the client finds out itself: of a
// call that takes long it asks all peers something small, and passes those over that
// do not answer when half of them have. Where all are slow, as on a machine with too
// much to do, none is passed over and the call has all its time. What was passed over
// is asked again while others work, and comes back when it answers.
const (
	patience    = time.Second     // that a call takes before the peers are looked at
	grace       = time.Second     // that the other peers have, at least, when half of them have answered
	lookTimeout = 4 * time.Second // of the question

	// Those that hang are asked again after the first, and after twice as long each
	// time, up to the last: what is asked of them keeps their ledgers locked.
	firstAgain, lastAgain = 5 * time.Second, 30 * time.Second
)

// smallQuestion and its argument are what any chaincode of medfed answers to any role.
const smallQuestion, smallArgument = "task:ListTasks", `{"page_size":1}`

// errHangs ends an attempt that waits for someone who hangs.
var errHangs = errors.New("it does not answer while others do")

// watched is the context of an attempt that may take so long, and given up sooner
// with errHangs when it takes long and waits says that it waits for a peer that hangs.
func (g *Gateway) watched(ctx context.Context, limit time.Duration, waits func() bool) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithTimeout(ctx, limit)
	attempt, giveUp := context.WithCancelCause(ctx)
	if len(g.peers) > 1 { // there is nobody else
		go func() {
			for after := patience; sleep(attempt, after) == nil; after *= 2 {
				select {
				case <-attempt.Done():
				case <-g.look():
				}
				if waits() {
					giveUp(errHangs)
				}
			}
		}()
	}
	return attempt, func() { giveUp(nil); stop() }
}

// look asks all peers whether they answer and notes who hangs. Who looks while
// another does shares the outcome.
func (g *Gateway) look() <-chan struct{} {
	done := make(chan struct{})
	outcome := g.looks.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		defer cancel()
		g.note(g.ask(ctx))
		return nil, nil
	})
	go func() {
		<-outcome
		close(done)
	}()
	return done
}

// ask gives the peers that answer, nil when fewer than half do: then it is not for
// the client to say who hangs.
func (g *Gateway) ask(ctx context.Context) (answer map[*peerConnection]bool) {
	began := time.Now()
	answered := make(chan *peerConnection, len(g.peers))
	for _, p := range g.peers {
		go func() {
			if g.answers(ctx, p) {
				answered <- p
			}
		}()
	}
	answer = map[*peerConnection]bool{}
	var enough <-chan time.Time // never, before half have answered
	for len(answer) < len(g.peers) {
		select {
		case p := <-answered:
			answer[p] = true
			if enough == nil && 2*len(answer) >= len(g.peers) {
				enough = time.After(max(grace, time.Since(began)))
			}
		case <-enough:
			return answer
		case <-ctx.Done():
			if enough == nil {
				return nil
			}
			return answer
		}
	}
	return answer
}

// answers reports whether a peer and its chaincode answer, be it with a refusal.
func (g *Gateway) answers(ctx context.Context, p *peerConnection) bool {
	_, err := g.contract(p).EvaluateWithContext(ctx, smallQuestion, client.WithArguments(smallArgument), client.WithEndorsingOrganizations(p.msp))
	var refused *Refusal
	return err == nil || errors.As(explain(ctx, smallQuestion, p, err).err, &refused)
}

// note takes down who answers and who hangs; nothing new where it is not known.
func (g *Gateway) note(answer map[*peerConnection]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked = time.Now()
	if answer == nil {
		return
	}
	if g.later = min(lastAgain, max(firstAgain, 2*g.later)); len(answer) == len(g.peers) {
		g.later = 0
	}
	for _, p := range g.peers {
		switch hangs := !answer[p]; {
		case hangs && !p.hangs:
			g.options.Log.Warn("a peer does not answer while others do, and is passed over until it does", "peer", p.name)
			close(p.gone)
		case !hangs && p.hangs:
			g.options.Log.Info("a peer that was passed over answers again", "peer", p.name)
			p.gone = make(chan struct{})
		}
		p.hangs = !answer[p]
	}
}

// hangs reports whether a peer is passed over.
func (g *Gateway) hangs(p *peerConnection) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return p.hangs
}

// hanging are the organisations all of whose peers are passed over.
func (g *Gateway) hanging() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var silent, answering []string
	for _, p := range g.peers {
		if p.hangs {
			silent = append(silent, p.msp)
		} else {
			answering = append(answering, p.msp)
		}
	}
	return slices.DeleteFunc(silent, func(msp string) bool { return slices.Contains(answering, msp) })
}

// endorsers are the organisations that shall endorse: all but those that hang. It is
// none, which leaves the choice to the peer's gateway, when nobody hangs, and when so
// many do that those left are no majority.
func (g *Gateway) endorsers() []string {
	silent := g.hanging()
	if len(silent) == 0 {
		return nil
	}
	var all, asked []string
	for _, p := range g.peers {
		if !slices.Contains(all, p.msp) {
			all = append(all, p.msp)
		}
	}
	for _, msp := range all {
		if !slices.Contains(silent, msp) {
			asked = append(asked, msp)
		}
	}
	if 2*len(asked) <= len(all) {
		return nil
	}
	return asked
}

// givenUp is the failure of an attempt that waited for someone who hangs.
func (g *Gateway) givenUp(name string, p *peerConnection) failure {
	return failure{codes.Errorf("MF-GATEWAY-TIMEOUT", "%s: peer %s, or an organisation that it asked (hanging: %s), does not answer while others do; look at its peer and its chaincode service",
		name, p.name, strings.Join(g.hanging(), ", ")), anew}
}

// hung reports whether an attempt was given up because someone hangs.
func hung(attempt context.Context) bool { return context.Cause(attempt) == errHangs }
