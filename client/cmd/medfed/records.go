package main

import (
	"errors"

	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/record"
)

// recordStores are the IPFS nodes that a profile names; nil where it names none.
type recordStores struct {
	MSP             string
	Members         []string // MSP identifiers of all members, sorted
	Private, Public record.Store
}

// openRecordStores is openStores in production.
func openRecordStores(profile string) (recordStores, error) {
	p, err := gateway.LoadProfile(profile)
	if err != nil {
		return recordStores{}, err
	}
	stores := recordStores{MSP: p.MSPID(), Members: p.Members()}
	stores.Private, err = openNode(p.Medfed.IPFS.Private)
	if err == nil {
		stores.Public, err = openNode(p.Medfed.IPFS.Public)
	}
	return stores, err
}

func openNode(node gateway.IPFS) (record.Store, error) {
	if node.URL == "" {
		return nil, nil
	}
	return ipfs.Open(ipfs.Config{URL: node.URL, TokenFile: node.TokenFile})
}

// recordLedger is a ledger whose collections can be reached too.
type recordLedger interface {
	ledgerClient
	gateway.PrivateCaller
}

var _ recordLedger = (*node.Connection)(nil)

// recordLedger connects as the identity that the flags name. The caller closes it.
func (a *app) recordLedger() (recordLedger, error) {
	l, err := a.ledger()
	if err != nil {
		return nil, err
	}
	with, ok := l.(recordLedger)
	if !ok {
		return nil, errors.Join(usage("this ledger has no collections; use a connection profile of the consortium"), l.Close())
	}
	return with, nil
}

// records runs a command on records as the identity that the flags name, with its
// bars on the terminal. Replicas are the profiles of other members whose private
// nodes take part.
func (a *app) records(replicas []string, command func(*record.Client) error) (err error) {
	l, err := a.recordLedger()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	key, err := a.ageIdentity()
	if err != nil {
		return err
	}
	stores, err := a.openStores(a.profile)
	if err != nil {
		return err
	}
	who := l.Identity()
	c := &record.Client{
		MSP: who.MSP, Role: who.Role, Ledger: gateway.Records{PrivateCaller: l}, Key: key, Own: stores.Private, Public: stores.Public,
		Members: stores.Members,
	}
	for _, profile := range replicas {
		other, err := a.openStores(profile)
		if err != nil {
			return err
		}
		if other.Private == nil {
			return usage("profile %s of --replica names no private IPFS node; name that of a hospital or research centre", profile)
		}
		c.Others = append(c.Others, record.Holder{MSP: other.MSP, Store: other.Private})
	}
	shown := a.newBars()
	c.Progress = shown.Bytes
	err = command(c)
	shown.Close()
	return err
}

// askRecords connects, asks the ledger one thing and lets go.
func askRecords[T any](a *app, question func(gateway.Records, *gateway.Identity) (T, error)) (T, error) {
	l, err := a.recordLedger()
	if err != nil {
		var none T
		return none, err
	}
	defer l.Close()
	return question(gateway.Records{PrivateCaller: l}, l.Identity())
}

// ownList is the list that a role looks at when none is named: its own.
func ownList(who *gateway.Identity) (by, value string) {
	switch who.Role {
	case ledger.RolePatient:
		return "patient", who.ID()
	case ledger.RoleRequester:
		return "grantee", who.ID()
	case ledger.RoleCustodian:
		return "custodian", who.MSP
	default:
		return "", ""
	}
}

// pages turns the ledger's pages into one list.
func pages[T any](page func(bookmark string, size int) ([]T, string, error)) ([]T, error) {
	const size = 100
	all := []T{}
	for bookmark := ""; ; {
		items, next, err := page(bookmark, size)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if bookmark = next; bookmark == "" {
			return all, nil
		}
	}
}
