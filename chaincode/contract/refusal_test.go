package contract_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

func TestCase18WrongRoleOrMSPIsDenied(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	trainer, master := round.Trainers[0], round.Masters[0]
	// The same names under another MSP, another role, or none.
	org, name, _ := strings.Cut(trainer, "/")
	impostors := map[codes.Code]*ledgertest.Identity{
		"MF-ROLE-DENIED":       w.ledger.Identity(org, name, "patient"),
		"MF-ROLE-MISSING":      w.ledger.Identity(org, name, ""),
		"MF-ROUND-NOT-TRAINER": w.ledger.Identity("InsurerMSP", name, "trainer"),
	}
	for code, impostor := range impostors {
		w.refused(code, impostor, "round:SubmitUpdate", w.update(1, trainer))
	}
	w.refused("MF-ROLE-DENIED", w.coordinator, "round:SubmitUpdate", w.update(1, trainer))
	w.refused("MF-ROUND-NOT-TRAINER", w.nodes[master], "round:SubmitUpdate", w.update(1, master))
	w.refused("MF-ROUND-NOT-MASTER", w.nodes[trainer], "round:CommitScores", w.commit(1, trainer, nil))
	w.refused("MF-ROUND-NOT-MASTER", w.nodes[trainer], "round:RevealScores", w.reveal(1, trainer, w.measured(round)))
	w.refused("MF-ROUND-NOT-MASTER", w.nodes[trainer], "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	w.refused("MF-ROUND-NOT-MASTER", w.nodes[trainer], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: 1, Digest: global(1).Digest})

	stranger := w.ledger.Identity("Hospital1MSP", "stranger", "trainer")
	rival := w.ledger.Identity("Hospital1MSP", "coordinator", "coordinator")
	for _, name := range []string{"OpenRound", "CloseTraining", "CloseCommits", "Tally", "CloseRound"} {
		w.refused("MF-TASK-DENIED", stranger, "round:"+name, request(1))
		w.refused("MF-TASK-DENIED", rival, "round:"+name, request(1))
		w.refused("MF-ROLE-DENIED", w.ledger.Identity("AuditorMSP", "auditor", "auditor"), "round:"+name, request(1))
	}
	former := w.ledger.Identity("ResearchCentreMSP", "coordinator", "trainer") // the coordinator, enrolled anew in another role
	w.refused("MF-TASK-DENIED", former, "round:CloseTraining", request(1))
	w.refused("MF-ROUND-NOT-MASTER", former, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	w.refused("MF-ROLE-DENIED", w.nodes[trainer], "task:CreateTask", terms())
	w.refused("MF-ROLE-DENIED", w.coordinator, "task:JoinTask", w.join(trainer))
	w.refused("MF-TASK-DENIED", rival, "task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())})
	w.refused("MF-NODE-UNKNOWN", stranger, "task:RevealSalt", w.salt(trainer))
	// Another's salt opens another's commitment, not one's own.
	w.refused("MF-SALT-MISMATCH", w.nodes[trainer], "task:RevealSalt", w.salt(master))
}

func TestCase18OwnerInTheArgumentsIsUnknown(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	id := round.Trainers[0]
	model := w.update(1, id).Model
	spoofed := fmt.Sprintf(`{"task":"%s","round":1,"model":{"cid":"%s","digest":"%s","size":%d},"num_examples":10,"node":"%s"}`,
		task, model.CID, model.Digest, model.Size, round.Trainers[1])
	w.refused("MF-ARGUMENT-UNKNOWN-FIELD", w.nodes[id], "round:SubmitUpdate", spoofed)
}

func TestCase18NamesThatWouldBeAmbiguousAreDenied(t *testing.T) {
	w := start(t, terms())
	w.refused("MF-IDENTIFIER-CHARACTER", w.ledger.Identity("Hospital1MSP", "node1/x", "trainer"), "round:OpenRound", request(1))
	w.refused("MF-IDENTIFIER-EMPTY", w.ledger.Identity("Hospital1MSP", "", "trainer"), "round:OpenRound", request(1))
}

func TestCase23Commitments(t *testing.T) {
	w := start(t, terms())
	round := w.train(1)
	copied, honest, late := round.Masters[0], round.Masters[1], round.Masters[3]
	// A copied commitment can be made and never opened.
	w.do(w.nodes[honest], "round:CommitScores", w.commit(1, honest, w.measured(round)))
	w.do(w.nodes[copied], "round:CommitScores", w.commit(1, honest, w.measured(round)))
	another := w.commit(2, round.Masters[2], w.measured(round)) // another round's
	another.Round = 1
	w.do(w.nodes[round.Masters[2]], "round:CommitScores", another)
	w.refused("MF-ROUND-PHASE", w.nodes[honest], "round:RevealScores", w.reveal(1, honest, w.measured(round)))
	w.later(120)
	w.do(w.coordinator, "round:CloseCommits", request(1))
	w.refused("MF-ROUND-PHASE", w.nodes[late], "round:CommitScores", w.commit(1, late, w.measured(round)))
	w.refused("MF-REVEAL-UNCOMMITTED", w.nodes[late], "round:RevealScores", w.reveal(1, late, w.measured(round)))
	w.refused("MF-REVEAL-MISMATCH", w.nodes[copied], "round:RevealScores", w.reveal(1, honest, w.measured(round)))
	w.refused("MF-REVEAL-MISMATCH", w.nodes[copied], "round:RevealScores", w.reveal(1, copied, w.measured(round)))
	w.refused("MF-REVEAL-MISMATCH", w.nodes[round.Masters[2]], "round:RevealScores", w.reveal(1, round.Masters[2], w.measured(round)))
	wrongSalt := w.reveal(1, honest, w.measured(round))
	wrongSalt.Salt = secret("another")
	w.refused("MF-REVEAL-MISMATCH", w.nodes[honest], "round:RevealScores", wrongSalt)
	otherScores := w.measured(round)
	otherScores[1].Score--
	w.refused("MF-REVEAL-MISMATCH", w.nodes[honest], "round:RevealScores", w.reveal(1, honest, otherScores))
	w.do(w.nodes[honest], "round:RevealScores", w.reveal(1, honest, w.measured(round)))
}

func TestRevealedScoresMustBeOfTheRound(t *testing.T) {
	w := start(t, terms())
	round := w.commitAll(1)
	master := round.Masters[0]
	for what, scores := range map[string][]fl.Score{
		"a master":     {{Node: round.Masters[1], Score: 1}},
		"doubled":      {{Node: round.Trainers[0], Score: 1}, {Node: round.Trainers[0], Score: 1}},
		"negative":     {{Node: round.Trainers[0], Score: -1}},
		"above one":    {{Node: round.Trainers[0], Score: fl.One + 1}},
		"of no one":    {{Node: "", Score: 1}},
		"a huge name":  {{Node: strings.Repeat("x", 100_000), Score: 1}},
		"with a break": {{Node: "a\nMF-ROLE-DENIED: b", Score: 1}},
	} {
		t.Log(what)
		w.refused("MF-REVEAL-SCORES", w.nodes[master], "round:RevealScores", w.reveal(1, master, scores))
	}
	reveal := w.reveal(1, master, w.measured(round))
	reveal.Salt = strings.ToUpper(reveal.Salt)
	w.refused("MF-REVEAL-SALT", w.nodes[master], "round:RevealScores", reveal)
}

func TestCase24SameContentUnderAnotherCIDEncoding(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	id := round.Trainers[0]
	honest := cidOf("ciphertext")
	base58, _ := honest.StringOfBase(multibase.Base58BTC)
	base36, _ := honest.StringOfBase(multibase.Base36)
	upper, _ := honest.StringOfBase(multibase.Base32Upper)
	sha512, err := multihash.Sum([]byte("x"), multihash.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"version 0":    cid.NewCidV0(honest.Hash()).String(),
		"base 58":      base58,
		"base 36":      base36,
		"capitals":     upper,
		"SHA-512":      cid.NewCidV1(cid.Raw, sha512).String(),
		"CBOR":         cid.NewCidV1(cid.DagCBOR, honest.Hash()).String(),
		"IPFS path":    "/ipfs/" + honest.String(),
		"blank before": " " + honest.String(),
		"none":         "",
		"no CID":       "hello",
		"huge":         strings.Repeat("b", 100_000),
	} {
		t.Log(what)
		update := w.update(1, id)
		update.Model.CID = text
		w.refused("MF-MODEL-CID", w.nodes[id], "round:SubmitUpdate", update)
	}
	raw := w.update(1, id)
	raw.Model.CID = cid.NewCidV1(cid.Raw, honest.Hash()).String()
	w.do(w.nodes[id], "round:SubmitUpdate", raw)
}

func TestCase24CopiedDigest(t *testing.T) {
	w := start(t, terms())
	w.full(1)
	round := w.open(2)
	first, second := round.Trainers[0], round.Trainers[1]
	earlier := w.state(1).Updates[0]
	for what, digest := range map[string]string{
		"the first model":           terms().Initial.Digest,
		"an earlier round's global": global(1).Digest,
		"an earlier round's update": earlier.Model.Digest,
	} {
		t.Log(what)
		update := w.update(2, first)
		update.Model.Digest = digest
		w.refused("MF-UPDATE-COPIED", w.nodes[first], "round:SubmitUpdate", update)
	}
	w.do(w.nodes[first], "round:SubmitUpdate", w.update(2, first))
	copied := w.update(2, second)
	copied.Model.Digest = w.update(2, first).Model.Digest
	w.refused("MF-UPDATE-COPIED", w.nodes[second], "round:SubmitUpdate", copied)
	for _, digest := range []string{"", "xyz", strings.ToUpper(copied.Model.Digest), copied.Model.Digest + "0"} {
		copied.Model.Digest = digest
		w.refused("MF-MODEL-DIGEST", w.nodes[second], "round:SubmitUpdate", copied)
	}
}

func TestCase26NumExamples(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	update := w.update(1, round.Trainers[0])
	for _, n := range []int64{0, -1, -1 << 63} {
		update.NumExamples = n
		w.refused("MF-UPDATE-EXAMPLES", w.nodes[round.Trainers[0]], "round:SubmitUpdate", update)
	}
	update.NumExamples = 1_000_000_000
	if got := result[fl.Update](w, w.nodes[round.Trainers[0]], "round:SubmitUpdate", update); got.NumExamples != terms().MaxExamples {
		t.Errorf("num_examples of 10^9 counts as %d, want the cap %d", got.NumExamples, terms().MaxExamples)
	}
	w.do(w.nodes[round.Trainers[0]], "round:SubmitUpdate", update) // the cap does not make it another update
}

func TestModelsMustHaveTheSizeOfTheTask(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	update := w.update(1, round.Trainers[0])
	for _, size := range []int64{0, -1, 99_999, 100_001, 1 << 62} {
		update.Model.Size = size
		w.refused("MF-MODEL-SIZE", w.nodes[round.Trainers[0]], "round:SubmitUpdate", update)
	}
}

func TestFedAdamsGlobalModelsAreLargerThanUpdates(t *testing.T) {
	adam := terms()
	adam.Strategy = "fedadam:eta=0.01"
	w := start(t, adam)
	for number := 1; number <= 2; number++ {
		round := w.open(number)
		update := w.update(number, round.Trainers[0])
		update.Model.Size = 300_000
		w.refused("MF-MODEL-SIZE", w.nodes[round.Trainers[0]], "round:SubmitUpdate", update)
		w.tally(number)
		proposal := fl.ProposeRequest{Task: task, Round: number, Model: global(number)}
		for _, size := range []int64{100_000, 99_999, 400_001} {
			proposal.Model.Size = size
			w.refused("MF-MODEL-SIZE", w.coordinator, "round:ProposeGlobal", proposal)
		}
		proposal.Model.Size = 300_000
		w.do(w.coordinator, "round:ProposeGlobal", proposal)
		for _, master := range round.Masters {
			w.do(w.nodes[master], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: number, Digest: proposal.Model.Digest})
		}
		if closed := result[fl.Round](w, w.coordinator, "round:CloseRound", request(number)); closed.Phase != fl.RoundClosed || closed.Global.Size != 300_000 {
			t.Fatalf("the round is %s with %+v", closed.Phase, closed.Global)
		}
	}
}

func TestSecondThoughtsAreRefused(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	w.submitUpdates(round)
	other := w.update(1, round.Trainers[0])
	other.Model = model("second thoughts")
	w.refused("MF-UPDATE-EXISTS", w.nodes[round.Trainers[0]], "round:SubmitUpdate", other)
	w.do(w.coordinator, "round:CloseTraining", request(1))
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:CommitScores", w.commit(1, id, w.measured(round)))
	}
	w.refused("MF-COMMITMENT-EXISTS", w.nodes[round.Masters[0]], "round:CommitScores", w.commit(1, round.Masters[0], nil))
	w.do(w.coordinator, "round:CloseCommits", request(1))
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:RevealScores", w.reveal(1, id, w.measured(round)))
	}
	w.do(w.coordinator, "round:Tally", request(1))
	w.do(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	w.refused("MF-PROPOSAL-EXISTS", w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: model("second thoughts")})

	w.refused("MF-TASK-EXISTS", w.ledger.Identity("Hospital1MSP", "coordinator", "coordinator"), "task:CreateTask", terms())
	changed := terms()
	changed.Threshold++
	w.refused("MF-TASK-EXISTS", w.coordinator, "task:CreateTask", changed)
	join := w.join(round.Masters[0])
	join.Commitment = secret("second thoughts")
	w.refused("MF-NODE-EXISTS", w.nodes[round.Masters[0]], "task:JoinTask", join)
}

func TestPhasesAreKept(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	w.refused("MF-ROUND-PHASE", w.coordinator, "round:CloseCommits", request(1))
	w.refused("MF-ROUND-PHASE", w.coordinator, "round:Tally", request(1))
	w.refused("MF-ROUND-PHASE", w.coordinator, "round:CloseRound", request(1))
	w.refused("MF-ROUND-PHASE", w.nodes[round.Masters[0]], "round:CommitScores", w.commit(1, round.Masters[0], nil))
	w.refused("MF-ROUND-PHASE", w.nodes[round.Masters[0]], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: 1, Digest: global(1).Digest})
	w.refused("MF-ROUND-PHASE", w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	w.refused("MF-TASK-PHASE", w.ledger.Identity("Hospital1MSP", "late", "trainer"), "task:JoinTask", w.join("Hospital1MSP/late"))
	w.refused("MF-ROUND-OPEN", w.coordinator, "round:OpenRound", request(2))
	w.refused("MF-ROUND-NUMBER", w.coordinator, "round:OpenRound", request(3))
}

func TestUnknownTasksAndRounds(t *testing.T) {
	w := newWorld(t)
	w.refused("MF-TASK-UNKNOWN", w.coordinator, "round:OpenRound", request(1))
	w.do(w.coordinator, "task:CreateTask", terms())
	w.refused("MF-TASK-PHASE", w.coordinator, "round:OpenRound", request(1))
	w.refused("MF-ROUND-UNKNOWN", w.coordinator, "round:Tally", request(1))
	for _, number := range []int{0, -1, 100_000_000, 1 << 40} {
		w.refused("MF-ROUND-NUMBER", w.coordinator, "round:Tally", request(number))
		w.refused("MF-ROUND-NUMBER", w.coordinator, "round:OpenRound", request(number))
	}
	w.refused("MF-TASK-NODES", w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())})
	w.refused("MF-COMMITMENT-INVALID", w.nodes[nodeIDs()[0]], "task:JoinTask", fl.JoinRequest{Task: task, Commitment: "x", Recipient: recipient})
	w.refused("MF-RECIPIENT-INVALID", w.nodes[nodeIDs()[0]], "task:JoinTask", fl.JoinRequest{Task: task, Commitment: secret(), Recipient: "age1"})
	w.refused("MF-PAGE-SIZE", w.coordinator, "task:ListTasks", fl.ListRequest{PageSize: 0})
	w.refused("MF-PAGE-SIZE", w.coordinator, "task:ListTasks", fl.ListRequest{PageSize: ledger.MaxPage + 1})
	w.refused("MF-PAGE-BOOKMARK", w.coordinator, "task:ListTasks", fl.ListRequest{PageSize: 1, Bookmark: "\x00node\x00" + task})
}

func TestCase06IdentifiersThatNoKeyCanHold(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "a\x00b", "a\U0010FFFFb", "a\uFFFDb", "Großhadern", "a/b", strings.Repeat("a", 65), "a b", "A"} {
		w.refused("MF-TASK-NAME", w.coordinator, "task:GetTask", fl.TaskRequest{Task: name})
		bad := terms()
		bad.Task = name
		w.refused("MF-TERMS-INVALID", w.coordinator, "task:CreateTask", bad)
	}
	w.refused("MF-ARGUMENT-MALFORMED", w.coordinator, "task:GetTask", "{\"task\":\"a\xff\"}")
}

func TestCase07ArgumentsAreStrict(t *testing.T) {
	w := start(t, terms())
	for argument, code := range map[string]codes.Code{
		`{"task":"pneumonia","round":1,"force":true}`:      "MF-ARGUMENT-UNKNOWN-FIELD",
		`{"task":"pneumonia","Round":1}`:                   "MF-ARGUMENT-UNKNOWN-FIELD",
		`{"task":"pneumonia"}`:                             "MF-ARGUMENT-MISSING-FIELD",
		`{"task":"pneumonia","round":1,"round":2}`:         "MF-ARGUMENT-DUPLICATE-FIELD",
		`{"task":"pneumonia","round":NaN}`:                 "MF-ARGUMENT-MALFORMED",
		`{"task":"pneumonia","round":1}{}`:                 "MF-ARGUMENT-MALFORMED",
		`{"task":"pneumonia","round":1} x`:                 "MF-ARGUMENT-MALFORMED",
		``:                                                 "MF-ARGUMENT-MALFORMED",
		`{"task":"pneumonia","round":1.5}`:                 "MF-ARGUMENT-TYPE",
		`{"task":"pneumonia","round":1e2}`:                 "MF-ARGUMENT-TYPE",
		`{"task":"pneumonia","round":"1"}`:                 "MF-ARGUMENT-TYPE",
		`{"task":"pneumonia","round":null}`:                "MF-ARGUMENT-TYPE",
		`{"task":"pneumonia","round":9223372036854775808}`: "MF-ARGUMENT-TYPE",
		`null`:                           "MF-ARGUMENT-TYPE",
		`[]`:                             "MF-ARGUMENT-TYPE",
		`"pneumonia"`:                    "MF-ARGUMENT-TYPE",
		strings.Repeat("[", 1<<17) + "1": "MF-ARGUMENT-TOO-DEEP",
		strings.Repeat(`{"task":`, 9) + "1" + strings.Repeat("}", 9): "MF-ARGUMENT-TOO-DEEP",
		`{"task":"` + strings.Repeat("a", 300_000) + `","round":1}`:  "MF-ARGUMENT-TOO-LARGE",
	} {
		w.refused(code, w.coordinator, "round:OpenRound", argument)
	}
	_, err := w.ledger.Submit(w.coordinator, "round:OpenRound", request(1), "twice")
	if answered(err) != "MF-ARGUMENT-COUNT" {
		t.Errorf("two arguments: %v", err)
	}
	_, err = w.ledger.Submit(w.coordinator, "round:OpenRound")
	if answered(err) != "MF-ARGUMENT-COUNT" {
		t.Errorf("no argument: %v", err)
	}
	if w.taskState().LastRound != 0 {
		t.Error("a refused transaction opened a round")
	}
}

func TestUnknownTransactionsAreCoded(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "OpenRound", "openRound", "round:", "round:openRound", "round:GetEvaluateTransactions", "nothing:X", ":", "round:GetName", "task:Destroy", "org.hyperledger.fabric:Nothing"} {
		w.refused("MF-TRANSACTION-UNKNOWN", w.coordinator, name, request(1))
	}
}

func TestTermsThatCanNotHoldAreRefused(t *testing.T) {
	w := newWorld(t)
	bad := terms()
	bad.Masters = 3
	w.refused("MF-TERMS-FAULTS", w.coordinator, "task:CreateTask", bad)
	bad = terms()
	bad.Recipient = "age1" + strings.Repeat("q", 58)
	w.refused("MF-RECIPIENT-INVALID", w.coordinator, "task:CreateTask", bad)
	bad = terms()
	bad.Initial.CID = "Qm" + bad.Initial.CID
	w.refused("MF-MODEL-CID", w.coordinator, "task:CreateTask", bad)
}

func TestRevokedAndExpiredIdentitiesNeverReachTheContracts(t *testing.T) {
	w := start(t, terms())
	gone := w.nodes[nodeIDs()[0]]
	w.ledger.Revoke(gone)
	if _, err := w.ledger.Submit(gone, "round:OpenRound", request(1)); err == nil {
		t.Error("a revoked identity opened a round")
	}
	expired := w.ledger.Identity("Hospital2MSP", "node1", "trainer", ledgertest.Expires(w.ledger.Now().Add(-time.Hour)))
	if _, err := w.ledger.Submit(expired, "round:OpenRound", request(1)); err == nil {
		t.Error("an expired identity opened a round")
	}
}

func TestEveryTransactionIsDescribed(t *testing.T) {
	w := newWorld(t)
	type described struct {
		Contracts map[string]struct {
			Info struct {
				Description string `json:"description"`
			} `json:"info"`
			Transactions []struct {
				Name        string   `json:"name"`
				Description string   `json:"description"`
				Tag         []string `json:"tag"`
				Parameters  []struct {
					Name        string `json:"name"`
					Description string `json:"description"`
					Schema      struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				} `json:"parameters"`
			} `json:"transactions"`
		} `json:"contracts"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	payload, err := w.ledger.Evaluate(w.coordinator, "org.hyperledger.fabric:GetMetadata")
	if err != nil {
		t.Fatal(err)
	}
	metadata := parse[described](t, payload)
	found := map[string]bool{}
	for name, c := range metadata.Contracts {
		if name == "org.hyperledger.fabric" {
			continue
		}
		if c.Info.Description == "" {
			t.Errorf("the contract %s has no description", name)
		}
		for _, transaction := range c.Transactions {
			full := name + ":" + transaction.Name
			found[full] = true
			if transaction.Description == "" {
				t.Errorf("%s has no description", full)
			}
			if len(transaction.Parameters) != 1 || transaction.Parameters[0].Name != "request" || transaction.Parameters[0].Description == "" {
				t.Errorf("%s has the parameters %+v", full, transaction.Parameters)
				continue
			}
			schema := strings.TrimPrefix(transaction.Parameters[0].Schema.Ref, "#/components/schemas/")
			if metadata.Components.Schemas[schema] == nil {
				t.Errorf("%s takes a %q, which is not described", full, schema)
			}
		}
	}
	for _, listed := range contract.Transactions() {
		full := listed.Contract + ":" + listed.Name
		if !found[full] {
			t.Errorf("%s is listed and not served", full)
		}
		delete(found, full)
		if !strings.HasSuffix(listed.Description, ".") {
			t.Errorf("the description of %s is no sentence: %q", full, listed.Description)
		}
		for _, transaction := range metadata.Contracts[listed.Contract].Transactions {
			if transaction.Name == listed.Name && (transaction.Tag[0] == "evaluate") != listed.Evaluate {
				t.Errorf("%s is tagged %v", full, transaction.Tag)
			}
		}
	}
	for full := range found {
		t.Errorf("%s is served and not listed", full)
	}
}
