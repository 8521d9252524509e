package contract

import (
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// written is a document under its key.
type written struct {
	key      ledger.Key
	document any
}

// writeChanges writes what a step of a task, or of its round of that number, gave.
func writeChanges(ctx *ledger.Context, task string, round int, changes fl.Changes) error {
	for _, w := range writes(task, round, changes) {
		if err := ledger.Put(ctx, w.key, w.document); err != nil {
			return err
		}
	}
	return nil
}

// writes gives each document of a step its key.
func writes(task string, round int, changes fl.Changes) []written {
	var all []written
	if d := changes.Task; d != nil {
		all = append(all, written{ledger.TaskKey(task), d})
	}
	if d := changes.Progress; d != nil {
		all = append(all, written{ledger.ProgressKey(task), d})
	}
	if d := changes.Node; d != nil {
		all = append(all, written{ledger.NodeKey(task, d.ID), d})
	}
	if d := changes.Salt; d != nil {
		all = append(all, written{ledger.SaltKey(task, d.Node), d})
	}
	if d := changes.Round; d != nil {
		all = append(all, written{ledger.RoundKey(task, round), d})
	}
	if d := changes.Update; d != nil {
		all = append(all, written{ledger.UpdateKey(task, round, d.Node), d})
	}
	if d := changes.Commitment; d != nil {
		all = append(all, written{ledger.CommitmentKey(task, round, d.Master), d})
	}
	if d := changes.Reveal; d != nil {
		all = append(all, written{ledger.RevealKey(task, round, d.Master), d})
	}
	if d := changes.Proposal; d != nil {
		all = append(all, written{ledger.ProposalKey(task, round, d.Proposer), d})
	}
	if d := changes.Attestation; d != nil {
		all = append(all, written{ledger.AttestationKey(task, round, d.Master), d})
	}
	for _, d := range changes.Standings {
		all = append(all, written{ledger.StandingKey(task, d.Node), d})
	}
	if d := changes.InTask; d != nil {
		all = append(all, written{ledger.SpendingKey(task, d.Node), d})
	}
	if d := changes.InAll; d != nil {
		all = append(all, written{ledger.DatasetKey(d.Node, d.Dataset), d})
	}
	if d := changes.Claim; d != nil {
		all = append(all, written{ledger.DigestKey(task, d.Digest), d.DigestUse})
	}
	return all
}
