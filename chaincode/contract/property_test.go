package contract_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// TestCase08RandomPrograms runs random transactions by random callers, sensible
// and foolish ones, some endorsed now and committed later, while time passes.
// After each, what must always hold is checked; at the end, a replay by the pure
// rules gives what is on the ledger.
func TestCase08RandomPrograms(t *testing.T) {
	reached := map[string]int{}
	endorsers := ledgertest.WithPeers("Hospital1MSP", "Hospital2MSP", "ResearchCentreMSP")
	rapid.Check(t, func(t *rapid.T) {
		chosen := terms()
		chosen.Rounds = rapid.IntRange(1, 3).Draw(t, "rounds")
		chosen.MaxFailed = rapid.IntRange(1, 3).Draw(t, "maxFailed")
		chosen.Participation = fl.Micro(rapid.Int64Range(600_000, int64(fl.One)).Draw(t, "participation"))
		scores := map[string]fl.Micro{}
		if rapid.Bool().Draw(t, "relative") {
			chosen.ThresholdKind, chosen.Threshold, chosen.MaxFailed = fl.ThresholdRelative, 50_000, 5
			score := fl.Micro(rapid.Int64Range(600_000, 900_000).Draw(t, "score")) // the previous global model's is 800000
			for _, id := range nodeIDs() {
				scores[id] = score
			}
		}
		if rapid.Bool().Draw(t, "private") {
			chosen.Privacy = privacy()
			chosen.Privacy.Epsilon = fl.Micro(rapid.Int64Range(int64(fl.One), int64(5*fl.One)).Draw(t, "budget"))
		}
		p := &program{T: t, seen: map[string]string{}}
		defer func() {
			if t.Failed() && p.world != nil {
				printScenario(t, p.ledger)
			}
		}()
		if rapid.IntRange(0, 3).Draw(t, "from the start") == 0 {
			p.world = newWorld(t, endorsers)
			p.private = chosen.Privacy.On()
			p.do(p.coordinator, "task:CreateTask", chosen)
		} else {
			p.world = start(t, chosen, endorsers)
		}
		p.scores = scores
		p.watch()
		for range rapid.IntRange(10, 100).Draw(t, "steps") {
			p.step()
			p.watch()
		}
		p.commit()
		p.watch()
		p.replays()
		reached["task "+string(p.taskState().Task.Phase)]++
		for _, round := range p.rounds {
			reached["round "+string(round.Phase)]++
			if round.Allowance > chosen.Threshold {
				reached["wider allowance"]++
			}
		}
	})
	t.Logf("came to %v", reached)
}

// program is a random run.
type program struct {
	*world
	*rapid.T
	seen     map[string]string // every key's last value
	rounds   []fl.Round
	progress fl.Progress
	pending  []*ledgertest.Transaction
}

// step lets time pass, commits what is pending, or sends a transaction.
func (p *program) step() {
	switch rapid.SampledFrom([]string{"sensible", "sensible", "sensible", "sensible", "sensible", "foolish", "later", "later", "commit"}).Draw(p.T, "step") {
	case "later":
		p.later(rapid.Int64Range(1, 700).Draw(p.T, "seconds"))
	case "commit":
		p.commit()
	case "sensible":
		p.sensible()
	case "foolish":
		p.send(p.anyone(), p.foolish())
	}
}

// call is a transaction to send.
type call struct {
	name     string
	argument any
}

// sensible sends what the newest round asks for next.
func (p *program) sensible() {
	last := len(p.rounds)
	if last == 0 {
		p.prepare()
		return
	}
	round := p.rounds[last-1]
	move := map[fl.RoundPhase]string{
		fl.RoundTraining: "round:CloseTraining", fl.RoundCommitting: "round:CloseCommits",
		fl.RoundRevealing: "round:Tally", fl.RoundAggregating: "round:CloseRound",
	}[round.Phase]
	if round.Phase.Final() {
		p.send(p.coordinator, call{"round:OpenRound", request(last + 1)})
		return
	}
	if rapid.IntRange(0, 4).Draw(p.T, "move") == 0 {
		p.send(p.coordinator, call{move, request(last)})
		return
	}
	everyone := rapid.Bool().Draw(p.T, "everyone")
	pick := func(ids []string) []string {
		if everyone {
			return ids
		}
		return []string{rapid.SampledFrom(ids).Draw(p.T, "one")}
	}
	switch round.Phase {
	case fl.RoundTraining:
		for _, id := range pick(round.Trainers) {
			p.send(p.nodes[id], call{"round:SubmitUpdate", p.update(last, id)})
		}
	case fl.RoundCommitting:
		for _, id := range pick(round.Masters) {
			p.send(p.nodes[id], call{"round:CommitScores", p.world.commit(last, id, p.opinion(round, id))})
		}
	case fl.RoundRevealing:
		for _, id := range pick(round.Masters) {
			p.send(p.nodes[id], call{"round:RevealScores", p.reveal(last, id, p.opinion(round, id))})
		}
	case fl.RoundAggregating:
		if rapid.Bool().Draw(p.T, "propose") {
			p.send(p.coordinator, call{"round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: last, Model: global(last)}})
			return
		}
		for _, id := range pick(round.Masters) {
			p.send(p.nodes[id], call{"round:AttestGlobal", fl.AttestRequest{Task: task, Round: last, Digest: global(last).Digest}})
		}
	}
}

// prepare sends what a task asks for before its first round.
func (p *program) prepare() {
	ids := nodeIDs()
	some := ids[:rapid.IntRange(1, len(ids)).Draw(p.T, "some")]
	switch rapid.SampledFrom([]string{"join", "start", "salt", "open"}).Draw(p.T, "prepare") {
	case "join":
		for _, id := range some {
			p.send(p.nodes[id], call{"task:JoinTask", p.join(id)})
		}
	case "start":
		p.send(p.coordinator, call{"task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())}})
	case "salt":
		for _, id := range some {
			p.send(p.nodes[id], call{"task:RevealSalt", p.salt(id)})
		}
	case "open":
		p.send(p.coordinator, call{"round:OpenRound", request(1)})
	}
}

// opinion is what a master always says of a round; some are low.
func (p *program) opinion(round fl.Round, master string) []fl.Score {
	scores := p.measured(round)
	for i := range scores {
		if strings.HasPrefix(secret(master, round.Number, scores[i].Node), "0") || strings.HasPrefix(secret(round.Number, scores[i].Node), "0") {
			scores[i].Score = 100_000
		}
	}
	return scores
}

// anyone is some identity, in the task or not.
func (p *program) anyone() *ledgertest.Identity {
	ids := append(nodeIDs(), "coordinator", "stranger", "auditor")
	switch id := rapid.SampledFrom(ids).Draw(p.T, "who"); id {
	case "coordinator":
		return p.coordinator
	case "stranger":
		return p.ledger.Identity("Hospital1MSP", "stranger", "trainer")
	case "auditor":
		return p.ledger.Identity("AuditorMSP", "auditor", "auditor")
	default:
		return p.nodes[id]
	}
}

// foolish is any transaction of any round.
func (p *program) foolish() call {
	number := rapid.IntRange(0, 6).Draw(p.T, "round")
	id := rapid.SampledFrom(nodeIDs()).Draw(p.T, "as")
	name := rapid.SampledFrom([]string{
		"task:CreateTask", "task:JoinTask", "task:StartTask", "task:RevealSalt",
		"round:OpenRound", "round:SubmitUpdate", "round:CloseTraining", "round:CommitScores", "round:CloseCommits",
		"round:RevealScores", "round:Tally", "round:ProposeGlobal", "round:AttestGlobal", "round:CloseRound",
	}).Draw(p.T, "transaction")
	scores := []fl.Score{{Node: id, Score: fl.Micro(rapid.Int64Range(-1, int64(fl.One)+1).Draw(p.T, "score"))}}
	wrong := model(rapid.SampledFrom([]string{"initial", "x", "y"}).Draw(p.T, "model"))
	switch name {
	case "task:CreateTask":
		return call{name, terms()}
	case "task:JoinTask":
		return call{name, p.join(id)}
	case "task:StartTask":
		return call{name, fl.TaskRequest{Task: task}}
	case "task:RevealSalt":
		return call{name, p.salt(id)}
	case "round:SubmitUpdate":
		return call{name, fl.UpdateRequest{Task: task, Round: number, Model: wrong, NumExamples: 1}}
	case "round:CommitScores":
		return call{name, p.world.commit(number, id, scores)}
	case "round:RevealScores":
		return call{name, p.reveal(number, id, scores)}
	case "round:ProposeGlobal":
		return call{name, fl.ProposeRequest{Task: task, Round: number, Model: wrong}}
	case "round:AttestGlobal":
		return call{name, fl.AttestRequest{Task: task, Round: number, Digest: wrong.Digest}}
	default:
		return call{name, request(number)}
	}
}

// send endorses a transaction, which stays pending or commits at once with what
// was pending before. Whatever is refused is refused with a code.
func (p *program) send(id *ledgertest.Identity, c call) {
	endorsed, err := p.ledger.Propose(id, c.name, c.argument).Endorse()
	if err != nil {
		code := answered(err)
		if code == "" || code == "MF-INTERNAL" || strings.HasPrefix(string(code), "MF-LEDGER") {
			p.T.Fatalf("%s by %s with %+v: %v", c.name, id, c.argument, err)
		}
		return
	}
	p.pending = append(p.pending, endorsed)
	if rapid.IntRange(0, 3).Draw(p.T, "wait") != 0 {
		p.commit()
	}
}

// commit puts what is pending into one block. Conflicts are no faults.
func (p *program) commit() {
	for _, committed := range p.ledger.Commit(p.pending...) {
		var conflict *ledgertest.CommitError
		if err := committed.Err(); errors.As(err, &conflict) &&
			conflict.Code != peer.TxValidationCode_MVCC_READ_CONFLICT && conflict.Code != peer.TxValidationCode_PHANTOM_READ_CONFLICT {
			p.T.Fatal(err)
		}
	}
	p.pending = nil
}

// watch checks what must always hold, against what was seen before.
func (p *program) watch() {
	for _, key := range p.ledger.Keys("") {
		value := string(p.ledger.State(key))
		before, existed := p.seen[key]
		if existed && before == value {
			continue
		}
		p.seen[key] = value
		switch object, _, _ := strings.Cut(strings.TrimPrefix(key, "\x00"), "\x00"); object {
		case "round":
			p.moved(before, value)
		case "task":
			if existed {
				p.taskMoved(before, value)
			}
		case "progress":
			p.progress = parse[fl.Progress](p.T, []byte(value))
		case "standing":
		case "spending", "dataset":
			p.spent(before, value)
		default:
			if existed {
				p.T.Fatalf("%q was %s and is now %s", key, before, value)
			}
		}
	}
	closed := 0
	for i, round := range p.rounds {
		if round.Number != i+1 || i+1 < len(p.rounds) && !round.Phase.Final() {
			p.T.Fatalf("of %d rounds, number %d in place %d is %s", len(p.rounds), round.Number, i+1, round.Phase)
		}
		if round.Phase == fl.RoundClosed {
			closed++
		}
	}
	if p.progress.LastRound != len(p.rounds) || p.progress.Closed != closed {
		p.T.Fatalf("the task counts %+v, there are %d rounds and %d closed", p.progress, len(p.rounds), closed)
	}
}

// spent checks what has been spent of a node's data set: only its updates add to
// it, and no budget is exceeded.
func (p *program) spent(before, after string) {
	now := parse[fl.Spending](p.T, []byte(after))
	var was fl.Spending
	if before != "" {
		was = parse[fl.Spending](p.T, []byte(before))
	}
	updates := 0
	for _, key := range p.ledger.Keys("\x00update\x00") {
		if parse[fl.Update](p.T, p.ledger.State(key)).Node == now.Node {
			updates++
		}
	}
	budget := parse[fl.Task](p.T, p.ledger.State("\x00task\x00"+task+"\x00")).Privacy.Epsilon
	if now.Epsilon <= was.Epsilon || now.Epsilon > budget || now.Updates != updates {
		p.T.Fatalf("%s went from %+v to %+v with %d updates and a budget of %d", now.Node, was, now, updates, budget)
	}
}

// taskMoved checks a task's change since it was last seen.
func (p *program) taskMoved(before, after string) {
	was, now := parse[fl.Task](p.T, []byte(before)), parse[fl.Task](p.T, []byte(after))
	if !slices.ContainsFunc(fl.TaskMoves(), func(m fl.TaskMove) bool { return m.From == was.Phase && m.To == now.Phase }) || !was.Terms.Equal(now.Terms) {
		p.T.Fatalf("the task went from %s to %s", before, after)
	}
}

// moved checks a round's change since it was last seen. A block may hold more
// than one transaction, but no two moves of a round: they conflict.
func (p *program) moved(before, after string) {
	var was fl.Round
	now := parse[fl.Round](p.T, []byte(after))
	if before == "" {
		p.rounds = append(p.rounds, now)
	} else {
		was = parse[fl.Round](p.T, []byte(before))
		p.rounds[now.Number-1] = now
	}
	if was.Phase.Final() {
		p.T.Fatalf("a round that was final changed: %+v, %+v", was, now)
	}
	if !slices.ContainsFunc(fl.RoundMoves(), func(m fl.RoundMove) bool { return m.From == was.Phase && m.To == now.Phase }) {
		p.T.Fatalf("a round went from %q to %q", was.Phase, now.Phase)
	}
	if was.Phase == "" {
		return
	}
	was.Phase, was.Deadline, was.ChangedAt = now.Phase, now.Deadline, now.ChangedAt
	was.Results, was.PreviousMedian, was.Global = now.Results, now.PreviousMedian, now.Global
	was.Attestations, was.Reason, was.FailedIn = now.Attestations, now.Reason, now.FailedIn
	kept, err := json.Marshal(was)
	if err != nil || string(kept) != after {
		p.T.Fatalf("a move changed what a round keeps: from %s to %s", before, after)
	}
}
