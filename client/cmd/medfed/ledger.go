package main

import (
	"context"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/client/session"
)

// ledgerClient is what the commands ask of the Fabric gateway.
type ledgerClient interface {
	gateway.PrivateCaller
	Events(ctx context.Context, from gateway.Checkpoint) <-chan gateway.Event
	Identity() *gateway.Identity
	Close() error
}

// connect is openLedger in production.
func connect(profile, identity string) (ledgerClient, error) {
	return session.Connect(profile, identity)
}

// ledger connects as the identity that the flags name. The caller closes it.
func (a *app) ledger() (ledgerClient, error) {
	if err := a.needProfile(); err != nil {
		return nil, err
	}
	if err := a.needIdentity(); err != nil {
		return nil, err
	}
	return a.openLedger(a.profile, a.identity)
}

// privateIPFS is the organisation's node of the private IPFS.
func (a *app) privateIPFS() (record.Store, error) {
	stores, err := a.stores()
	if err != nil {
		return nil, err
	}
	return stores.NeedPrivate()
}

// stores are the IPFS nodes that the profile names, and who has one.
func (a *app) stores() (session.Stores, error) {
	if err := a.needProfile(); err != nil {
		return session.Stores{}, err
	}
	return a.openStores(a.profile)
}

// ageIdentity is the key pair that opens what is encrypted to the identity that
// the flags name.
func (a *app) ageIdentity() (*envelope.Identity, error) {
	if err := a.needIdentity(); err != nil {
		return nil, err
	}
	return session.AgeKey(a.identity)
}

func (a *app) needProfile() error {
	if a.profile == "" {
		return usage("no connection profile is named; use --profile or set %s", profileVariable)
	}
	return nil
}

func (a *app) needIdentity() error {
	if a.identity == "" {
		return usage("no identity is named; use --identity or set %s to its MSP folder", identityVariable)
	}
	return nil
}

// ask connects, asks one thing and lets go.
func ask[T any](a *app, question func(gateway.Contracts, *gateway.Identity) (T, error)) (T, error) {
	l, err := a.ledger()
	if err != nil {
		var none T
		return none, err
	}
	defer l.Close()
	return question(gateway.ContractsOf(l), l.Identity())
}

// newestGlobal gives the newest attested global model of a task and the round
// that made it, 0 for the task's first model.
func newestGlobal(ctx context.Context, c gateway.Contracts, task fl.TaskState) (fl.ModelRef, int, error) {
	if task.LastRound == 0 {
		first, _ := task.Task.NewestGlobal(nil)
		return first, 0, nil
	}
	state, err := c.Rounds.GetRound(ctx, fl.RoundRequest{Task: task.Task.Task, Round: task.LastRound})
	if err != nil {
		return fl.ModelRef{}, 0, err
	}
	newest, number := task.Task.NewestGlobal(&state.Round)
	return newest, number, nil
}
