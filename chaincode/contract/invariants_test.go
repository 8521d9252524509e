package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/record"
)

// invariants are what must hold after every step of any program, whoever sends
// what: tasks, rounds, records and consents move only as their tables say; what
// is written once stays; versions, offers, agreements and rounds are counted
// without gaps; an agreement is an offer that both sides signed; a permit lies
// within the terms, and what can be read is permitted now; elections, medians
// and global models are those that the pure rules give on the history.
//
// They are read from the ledger alone, so that they can be checked after the
// steps of a scenario file too.
type invariants struct {
	ledger  *ledgertest.Ledger
	auditor *ledgertest.Identity
	seen    map[string]string // every public document's last value, by the name of its key
	count   map[string]int    // how many there are of what is counted
	status  map[string]consent.Status
	permits []consent.Access
}

func newInvariants(l *ledgertest.Ledger) *invariants {
	return &invariants{
		ledger: l, auditor: l.Identity("AuditorMSP", "auditor", "auditor"),
		seen: map[string]string{}, count: map[string]int{}, status: map[string]consent.Status{},
	}
}

// change is a key that has another value than when it was last looked at.
type change struct {
	object        string
	parts         []string
	before, after string
}

// check compares the ledger with what it was when it was last checked.
func (i *invariants) check() error {
	changes, err := i.changes()
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := i.checkChange(c); err != nil {
			return fmt.Errorf("%s/%s: %w", c.object, strings.Join(c.parts, "/"), err)
		}
	}
	for _, c := range changes {
		if err := i.checkWhole(c); err != nil {
			return fmt.Errorf("%s/%s: %w", c.object, strings.Join(c.parts, "/"), err)
		}
	}
	return i.checkReadable()
}

func (i *invariants) changes() ([]change, error) {
	keys := i.ledger.Keys("")
	var changes []change
	for _, key := range keys {
		parts := strings.Split(strings.Trim(key, "\x00"), "\x00")
		name := strings.Join(parts, "/")
		before, after := i.seen[name], string(i.ledger.State(key))
		if before == after {
			continue
		}
		changes = append(changes, change{object: parts[0], parts: parts[1:], before: before, after: after})
		i.seen[name] = after
	}
	if len(i.seen) != len(keys) {
		return nil, fmt.Errorf("there were %d public keys and there are %d", len(i.seen), len(keys))
	}
	return changes, nil
}

// checkChange checks one key: documents that move may, all others are written once.
func (i *invariants) checkChange(c change) error {
	switch c.object {
	case "progress", "standing", "spending", "dataset", "recipient", "erasure-members", "negotiation", "revocation":
		return nil
	case "task":
		return moved(c, taskMove)
	case "round":
		if c.before == "" {
			return errors.Join(i.counted(c), moved(c, roundMove))
		}
		return moved(c, roundMove)
	case "record":
		return moved(c, recordMove)
	}
	if c.before != "" {
		return fmt.Errorf("was %s and is now %s", c.before, c.after)
	}
	switch c.object {
	case "version", "offer", "agreement":
		return i.counted(c)
	case "access":
		return i.checkAccess(c)
	}
	return nil
}

// counted checks that numbered documents come without gaps. Keys are looked at in
// their order, so of several new ones the lowest comes first.
func (i *invariants) counted(c change) error {
	of := c.object + "/" + c.parts[0]
	number, err := strconv.Atoi(c.parts[1])
	if err != nil {
		return err
	}
	i.count[of]++
	if number != i.count[of] {
		return fmt.Errorf("number %d is the %d. of its kind", number, i.count[of])
	}
	return nil
}

// moved checks a document's change by a rule for its kind; the document before
// is the zero value for a new one.
func moved[T any](c change, allowed func(was, now T) error) error {
	var was, now T
	if c.before != "" {
		if err := json.Unmarshal([]byte(c.before), &was); err != nil {
			return err
		}
	}
	if err := json.Unmarshal([]byte(c.after), &now); err != nil {
		return err
	}
	if err := allowed(was, now); err != nil {
		return fmt.Errorf("%w: from %s to %s", err, c.before, c.after)
	}
	return nil
}

func taskMove(was, now fl.Task) error {
	if was.Phase == "" {
		return nil
	}
	if !slices.ContainsFunc(fl.TaskMoves(), func(m fl.TaskMove) bool { return m.From == was.Phase && m.To == now.Phase }) {
		return errors.New("the table has no such move")
	}
	if !was.Terms.Equal(now.Terms) {
		return errors.New("the terms changed")
	}
	return nil
}

// roundMove checks a round's move. A block may hold more than one transaction,
// but no two moves of a round: they conflict.
func roundMove(was, now fl.Round) error {
	if !slices.ContainsFunc(fl.RoundMoves(), func(m fl.RoundMove) bool { return m.From == was.Phase && m.To == now.Phase }) {
		return errors.New("the table has no such move")
	}
	if was.Phase == "" {
		return nil
	}
	if was.Phase.Final() {
		return errors.New("the round was final")
	}
	was.Phase, was.Deadline, was.ChangedAt = now.Phase, now.Deadline, now.ChangedAt
	was.Results, was.PreviousMedian, was.Global = now.Results, now.PreviousMedian, now.Global
	was.Attestations, was.Reason, was.FailedIn = now.Attestations, now.Reason, now.FailedIn
	if form.Digest(was) != form.Digest(now) {
		return errors.New("what a round keeps changed")
	}
	return nil
}

func recordMove(was, now record.Record) error {
	if was.Status != now.Status && !was.Status.CanMoveTo(now.Status) {
		return errors.New("the table has no such move")
	}
	if was.Status != "" && (was.Kind != now.Kind || was.Custodian != now.Custodian || was.Patient != now.Patient || was.Versions > now.Versions) {
		return errors.New("what a record keeps changed")
	}
	return nil
}

// document reads a public document as it was when the ledger was last looked at.
func document[T any](i *invariants, key ledger.Key) (value T, found bool, err error) {
	text, found := i.seen[key.String()]
	if found {
		err = json.Unmarshal([]byte(text), &value)
	}
	return value, found, err
}

// checkWhole checks what takes more than one document, once all are known.
func (i *invariants) checkWhole(c change) error {
	switch c.object {
	case "round", "progress":
		return i.checkTask(c.parts[0])
	case "record":
		rec, _, err := document[record.Record](i, ledger.RecordKey(c.parts[0]))
		if err == nil && rec.Versions != i.count["version/"+rec.Record] {
			err = fmt.Errorf("there are %d versions", i.count["version/"+rec.Record])
		}
		return err
	case "agreement":
		return i.checkAgreement(c)
	case "negotiation", "revocation":
		return i.checkStatus(c)
	}
	return nil
}

// checkTask checks that a task counts its rounds rightly, that only the newest is
// open and, when none is, that a replay of the history by the pure rules gives
// what is on the ledger.
func (i *invariants) checkTask(task string) error {
	progress, _, err := document[fl.Progress](i, ledger.ProgressKey(task))
	if err != nil {
		return err
	}
	closed, open := 0, 0
	for number := 1; number <= i.count["round/"+task]; number++ {
		round, _, err := document[fl.Round](i, ledger.RoundKey(task, number))
		if err != nil {
			return err
		}
		if round.Phase == fl.RoundClosed {
			closed++
		}
		if !round.Phase.Final() {
			open = number
		}
	}
	switch last := i.count["round/"+task]; {
	case progress.LastRound != last || progress.Closed != closed:
		return fmt.Errorf("the task counts %+v, there are %d rounds and %d closed", progress, last, closed)
	case open != 0 && open != last:
		return fmt.Errorf("round %d of %d is open", open, last)
	case open != 0 || last == 0:
		return nil
	}
	return i.checkReplay(task, progress.LastRound)
}

// checkReplay has the pure rules do again what is on the ledger.
func (i *invariants) checkReplay(task string, last int) error {
	state, err := look[fl.TaskState](i, "task:GetTask", fl.TaskRequest{Task: task})
	if err != nil {
		return err
	}
	rounds := make([]fl.RoundState, last)
	for n := range rounds {
		if rounds[n], err = look[fl.RoundState](i, "round:GetRound", fl.RoundRequest{Task: task, Round: n + 1}); err != nil {
			return err
		}
	}
	if differences := fl.Differences(state, rounds); len(differences) > 0 {
		return fmt.Errorf("a replay differs: %+v", differences)
	}
	return nil
}

// look evaluates a query without leaving a trace.
func look[T any](i *invariants, name string, argument any) (value T, err error) {
	payload, err := i.ledger.Propose(i.auditor, name, argument).Aside().Evaluate()
	if err == nil {
		err = json.Unmarshal(payload, &value)
	}
	return value, err
}

// checkAgreement checks that a consent version is an offer that both sides signed.
func (i *invariants) checkAgreement(c change) error {
	var agreement consent.Agreement
	if err := json.Unmarshal([]byte(c.after), &agreement); err != nil {
		return err
	}
	parties, _, err := document[consent.Parties](i, ledger.ConsentKey(agreement.Consent))
	if err != nil {
		return err
	}
	offer, _, err := document[consent.Offer](i, ledger.OfferKey(agreement.Consent, agreement.Offer))
	if err != nil {
		return err
	}
	signed := []string{agreement.OfferedBy, agreement.AcceptedBy}
	if !slices.Contains(signed, parties.Patient) || !slices.Contains(signed, parties.Grantee) ||
		agreement.OfferedBy != offer.By || agreement.OfferDigest != offer.Digest() {
		return fmt.Errorf("%s is not agreed by both sides on %+v", c.after, offer)
	}
	return nil
}

// checkStatus checks that a consent came to its status by moves of the table, one
// for each of its documents that changed.
func (i *invariants) checkStatus(c change) error {
	id := c.parts[0]
	parties, _, err := document[consent.Parties](i, ledger.ConsentKey(id))
	if err != nil {
		return err
	}
	negotiation, _, err := document[consent.Negotiation](i, ledger.NegotiationKey(id))
	if err != nil {
		return err
	}
	revocation, _, err := document[consent.Revocation](i, ledger.RevocationKey(id))
	if err != nil {
		return err
	}
	before, now := i.status[id], consent.Assemble(parties, negotiation, revocation).Status
	i.status[id] = now
	reached := map[consent.Status]bool{before: true}
	for range 2 { // negotiation and revocation may change in one block
		from := maps.Clone(reached)
		for _, move := range consent.Moves() {
			if from[move.From] {
				reached[move.To] = true
			}
		}
	}
	if !reached[now] {
		return fmt.Errorf("the consent went from %q to %q", before, now)
	}
	return nil
}

// checkAccess checks a decision when it is logged: it has a code or is within the
// terms that were agreed on.
func (i *invariants) checkAccess(c change) error {
	var access consent.Access
	if err := json.Unmarshal([]byte(c.after), &access); err != nil {
		return err
	}
	if (access.Decision == consent.Permit) != (access.Code == "") {
		return fmt.Errorf("decided as %s", c.after)
	}
	if access.Decision != consent.Permit {
		return nil
	}
	i.permits = append(i.permits, access)
	parties, _, err := document[consent.Parties](i, ledger.ConsentKey(access.Consent))
	if err != nil {
		return err
	}
	agreement, found, err := document[consent.Agreement](i, ledger.AgreementKey(access.Consent, access.Agreement))
	if err != nil {
		return err
	}
	terms := agreement.Terms
	if !found || access.Grantee != parties.Grantee || access.Record != parties.Record || !slices.Contains(terms.Purposes, access.Purpose) ||
		!terms.Scope.Covers(access.Version) || access.At+ledger.TimeWindow >= terms.Period.Until ||
		terms.Period.From != 0 && access.At-ledger.TimeWindow < terms.Period.From {
		return fmt.Errorf("the permit %s is outside of %+v by %+v", c.after, agreement, parties)
	}
	return nil
}

// checkReadable checks that what a grantee can read now is permitted now.
func (i *invariants) checkReadable() error {
	for _, access := range i.permits {
		msp, name, _ := strings.Cut(access.Grantee, "/")
		_, err := i.ledger.Propose(i.ledger.Identity(msp, name, "requester"), "access:ReadGrant", consent.ReadGrantRequest{Access: access.Access}).
			On(access.Custodian).Aside().Evaluate()
		if err != nil {
			if code := answered(err); code == "" || code == "MF-INTERNAL" {
				return err
			}
			continue
		}
		if err := i.checkPermitted(access); err != nil {
			return err
		}
	}
	return nil
}

func (i *invariants) checkPermitted(access consent.Access) error {
	rec, _, err := document[record.Record](i, ledger.RecordKey(access.Record))
	if err != nil {
		return err
	}
	agreement, _, err := document[consent.Agreement](i, ledger.AgreementKey(access.Consent, access.Agreement))
	if err != nil {
		return err
	}
	revocation, _, err := document[consent.Revocation](i, ledger.RevocationKey(access.Consent))
	if err != nil {
		return err
	}
	if !rec.Status.Accessible() || revocation.Number != agreement.Revocations || revocation.EnteredInError ||
		i.ledger.Now().Unix()+ledger.TimeWindow >= agreement.Terms.Period.Until {
		return fmt.Errorf("%+v is read after %+v under %+v of a record that is %s", access, revocation, agreement, rec.Status)
	}
	return nil
}

// leaks looks for what is private in all that ever was public. The chain keeps
// everything, so one look at the end sees every step.
func (i *invariants) leaks() error {
	for _, secret := range []string{"CANARY", canaryIdentifier, canaryWrap, canaryGrant, canaryNote} {
		if found := i.ledger.Leaks([]byte(secret)); len(found) > 0 {
			return fmt.Errorf("%q: %v", secret, found)
		}
	}
	return nil
}
