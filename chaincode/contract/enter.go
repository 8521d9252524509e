package contract

import (
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

// enter begins a transaction that packages record and consent decide: what they
// read, and who calls when. It takes nothing private.
func enter(ctx *ledger.Context) (ledger.Records, consortium.Call, error) {
	if err := ledger.NoTransient(ctx); err != nil {
		return ledger.Records{}, consortium.Call{}, err
	}
	call, err := ctx.Call()
	return ledger.Records{Reader: ctx}, call, err
}

// enterPrivate begins a transaction that callers of some roles send one private
// field to. Whoever may not is told so before what they sent is looked at.
func enterPrivate(ctx *ledger.Context, field string, into any, roles ...consortium.Role) (ledger.Records, consortium.Call, error) {
	call, err := ctx.Call()
	if err != nil {
		return ledger.Records{}, call, err
	}
	if err := call.MustBe(roles...); err != nil {
		return ledger.Records{}, call, err
	}
	return ledger.Records{Reader: ctx}, call, ledger.Transient(ctx, field, into)
}

// onRecord runs a public transaction of package record: it reads, and is written.
func onRecord[Q, A any](ctx *ledger.Context, request Q, rule func(record.Ledger, consortium.Call, Q) (A, record.Change, error)) (*A, error) {
	l, call, err := enter(ctx)
	if err != nil {
		return nil, err
	}
	answer, change, err := rule(l, call, request)
	if err != nil {
		return nil, err
	}
	return &answer, write(ctx, ledger.RecordWrites(change), change.Event)
}

// onConsent runs a public transaction of package consent: it reads, and is written.
func onConsent[Q, A any](ctx *ledger.Context, request Q, rule func(consent.Ledger, consortium.Call, Q) (A, consent.Change, error)) (*A, error) {
	l, call, err := enter(ctx)
	if err != nil {
		return nil, err
	}
	answer, change, err := rule(l, call, request)
	if err != nil {
		return nil, err
	}
	return &answer, write(ctx, ledger.ConsentWrites(change), change.Event)
}

// write writes the documents that the rules make and sets the one event.
func write(ctx *ledger.Context, documents []ledger.Write, event record.Event) error {
	for _, d := range documents {
		put := func() error { return ledger.Put(ctx, d.Key, d.Document) }
		if d.Collection != "" {
			put = func() error { return ledger.PutPrivate(ctx, d.Collection, d.Key, d.Document) }
		}
		if err := put(); err != nil {
			return err
		}
	}
	return ctx.Emit(event)
}

// purge removes private documents for good and sets the one event.
func purge(ctx *ledger.Context, places []ledger.Place, event record.Event) (*record.Purged, error) {
	for _, place := range places {
		if err := ledger.Purge(ctx, place.Collection, place.Key); err != nil {
			return nil, err
		}
	}
	return &record.Purged{Keys: ledger.Names(places)}, ctx.Emit(event)
}
