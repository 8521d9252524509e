package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
)

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// Run takes part until the task is completed or failed, which is no error, or
// until the context ends. What is wrong at the start (no such task, IPFS that
// does not answer) ends it with that error, and so does, at any time, a refusal
// that no waiting can mend, such as a wrong role. Everything else is tried again
// with growing pauses for as long as it takes. Lines of the journal that could not
// be written are an error at the end, MF-NODE-JOURNAL.
func (n *Node) Run(ctx context.Context) error {
	err := n.run(ctx)
	if lost := n.journal.lost(); lost != nil {
		return errors.Join(err, lost)
	}
	return err
}

func (n *Node) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var listening sync.WaitGroup
	defer listening.Wait()
	defer n.background.Wait()
	defer cancel()
	if err := n.check(ctx); err != nil {
		return err
	}
	events := n.Ledger.Events(ctx, nil)
	wake := make(chan struct{}, 1)
	listening.Go(func() { n.listen(events, wake) })
	return n.loop(ctx, wake)
}

// check finds out before anything is done whether the node can take part.
func (n *Node) check(ctx context.Context) error {
	view, err := n.view(ctx)
	if err != nil {
		return err
	}
	if creator := view.Task.Task.Creator; n.Coordinator && creator != n.ID {
		return codes.Errorf("MF-NODE-ROLE", "%s is no coordinator of task %s, %s is; run the node of that identity, or a trainer's", n.ID, n.Task, creator)
	}
	terms := view.Task.Task.Terms
	for _, node := range view.Task.Nodes {
		switch {
		case node.ID != n.ID:
		case node.Recipient != n.Identity.Recipient():
			return codes.Errorf("MF-NODE-KEY", "%s joined task %s with another age key, and can't open what is encrypted to that; restore the key file it had: no other lets it go on in this task", n.ID, n.Task)
		case node.Dataset != n.dataset(terms) || node.Examples != n.examples(terms) || node.Budget != n.budget(terms):
			return codes.Errorf("MF-NODE-DATASET", "%s joined the private task %s with another data set, number of examples or budget, and the ledger keeps account of that; run it with those", n.ID, n.Task)
		}
	}
	if store, can := n.Store.(checker); can {
		return store.Check(ctx)
	}
	return nil
}

// loop looks, decides and acts until the task is over.
func (n *Node) loop(ctx context.Context, wake <-chan struct{}) error {
	failures, due := 0, dueSince{}
	for {
		view, err := n.view(ctx)
		action, pause := Action{Kind: Wait}, time.Duration(0)
		if err == nil {
			n.attend(ctx, view)
			action = Next(view, n.me(view))
			switch action.Kind {
			case Finished:
				n.background.Wait() // the last global model is still being measured or pinned
				n.Log.Info("the task is over", "phase", view.Task.Task.Phase)
				return nil
			case Excluded:
				return codes.Errorf("MF-NODE-LATE", "task %s is %s and %s has not joined it; nodes join while a task is joining, so join another", n.Task, view.Task.Task.Phase, n.ID)
			}
			pause = n.pause(action, &due)
			step := action
			if pause > 0 {
				step = Action{Kind: Wait, Round: action.Round, Until: action.Until}
			}
			n.sayWhatIsMissing(view)
			n.Log.Debug("step", "kind", step.Kind, "round", step.Round)
			err = n.perform(ctx, view, step)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			failures = 0
		case overtaken(err):
			failures, pause = 0, firstBackoff // what overtook it is on its way to this node's peer
		case final(err):
			return err
		default:
			pause = min(lastBackoff, firstBackoff<<min(failures, 10))
			failures++
			n.Log.Warn("trying again", "step", action.Kind, "round", action.Round, "failures", failures, "error", err)
		}
		if pause > 0 && !sleep(ctx, pause, wake) {
			return context.Cause(ctx)
		}
	}
}

// me is this node as Next sees it.
func (n *Node) me(v View) Me {
	return Me{ID: n.ID, Coordinator: v.Task.Task.Creator == n.ID, ExpectNodes: n.ExpectNodes}
}

// view reads the ledger.
func (n *Node) view(ctx context.Context) (View, error) {
	now := n.Now()
	task, err := n.tasks(0).GetTask(ctx, fl.TaskRequest{Task: n.Task})
	if err != nil {
		return View{}, err
	}
	view := View{Task: task, Now: now}
	if task.LastRound == 0 {
		return view, nil
	}
	round, err := n.rounds(0).GetRound(ctx, fl.RoundRequest{Task: n.Task, Round: task.LastRound})
	view.Round = &round
	return view, err
}

// dueSince remembers since when a step has been waiting for this node's turn.
type dueSince struct {
	kind  Kind
	round int
	since time.Time
}

// pause is how long to wait before a step, 0 to do it now. The others who can do
// it come first, each for one stagger.
func (n *Node) pause(a Action, due *dueSince) time.Duration {
	if a.Kind == Wait {
		*due = dueSince{}
		if a.Until == 0 {
			return n.Poll
		}
		return min(n.Poll, max(firstBackoff, time.Unix(a.Until, 0).Sub(n.Now())))
	}
	if due.kind != a.Kind || due.round != a.Round {
		*due = dueSince{a.Kind, a.Round, time.Now()}
	}
	return min(n.Poll, max(0, time.Duration(a.Turn)*n.Stagger-time.Since(due.since)))
}

// sleep waits for a time or an event, and reports false when the context ends.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}
	return true
}

// listen turns events into wake-ups, and ends a step that they make pointless.
// Events that only concern whoever counts what single nodes have sent do not wake
// the others: with many nodes most events are of that kind.
func (n *Node) listen(events <-chan gateway.Event, wake chan<- struct{}) {
	for event := range events {
		if event.Task != n.Task {
			continue
		}
		n.running.overtake(event.Round, fl.RoundPhase(event.Phase))
		if !n.Coordinator && !concernsAll(event.Name) {
			continue
		}
		select {
		case wake <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// concernsAll tells the transactions after which any node may have a new step.
// Updates are among them: the masters score them while others still train.
func concernsAll(transaction string) bool {
	switch transaction {
	case "task:JoinTask", "task:RevealSalt", "round:CommitScores", "round:RevealScores", "round:ProposeGlobal", "round:AttestGlobal":
		return false
	}
	return true
}

// running is the step under way, and how to end it when the round has left the
// phase it belongs to.
type running struct {
	mu     sync.Mutex
	round  int
	phase  fl.RoundPhase
	cancel context.CancelCauseFunc
}

// errOvertaken ends a step whose phase or time is over.
var errOvertaken = errors.New("the round has moved on")

// begin marks a step as belonging to the phase that a view shows, and gives it as
// much time as is left. What a master prepares while others train belongs to the
// next phase already, which needs it.
func (r *running) begin(ctx context.Context, v View, a Action) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() {}
	if a.Until > 0 {
		ctx, stop = context.WithTimeoutCause(ctx, time.Unix(a.Until, 0).Sub(v.Now), errOvertaken)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.round, r.phase, r.cancel = 0, "", cancel
	if v.Round != nil {
		r.round, r.phase = v.Round.Round.Number, v.Round.Round.Phase
		if a.Kind == Wait && r.phase == fl.RoundTraining {
			r.phase = fl.RoundCommitting
		}
	}
	return ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cancel = nil
		stop()
		cancel(nil)
	}
}

// overtake ends the step under way when an event shows its round further on.
func (r *running) overtake(round int, phase fl.RoundPhase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil && (round > r.round || round == r.round && r.phase.Before(phase)) {
		r.cancel(errOvertaken)
	}
}

// passing are the codes of refusals that only say that the ledger has moved on, or
// is not there yet, since it was read.
var passing = []codes.Code{
	"MF-ROUND-PHASE", "MF-ROUND-EARLY", "MF-ROUND-NUMBER", "MF-ROUND-OPEN", "MF-TASK-PHASE", "MF-TASK-JOINED", "MF-PROPOSAL-EARLY",
}

// lasting are the codes of failures that can't be mended by trying again.
var lasting = []codes.Code{
	"MF-ROLE-DENIED", "MF-ROLE-MISSING", "MF-IDENTITY-UNREADABLE", "MF-NODE-EXISTS", "MF-PRIVACY-DATASET", "MF-SALT-MISMATCH", "MF-RECIPIENT-INVALID",
	"MF-MODEL-OPTIONS", "MF-MODEL-DATA", "MF-MODEL-NAME", "MF-MODEL-SHAPE", "MF-IPFS-TOKEN", "MF-GATEWAY-IDENTITY",
}

// overtaken reports whether a failure only says that the round has gone on
// without it.
func overtaken(err error) bool {
	return errors.Is(err, errOvertaken) || slices.Contains(passing, codes.Of(err))
}

// final reports whether a failure can't be mended by trying again.
func final(err error) bool { return slices.Contains(lasting, codes.Of(err)) }
