package main

import (
	"errors"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

// records runs a command on records as the identity that the flags name, with its
// bars on the terminal. Replicas are the profiles of other members whose private
// nodes take part.
func (a *app) records(replicas []string, command func(*record.Client) error) (err error) {
	l, err := a.ledger()
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
		MSP: who.MSP, ID: who.ID(), Role: who.Role, Ledger: gateway.ContractsOf(l), Key: key, Own: stores.Private, Public: stores.Public, PublicErased: stores.PublicErased,
		Members: stores.Members, Keys: stores.DocumentKeys,
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

// ownedByCustodian is the list of what lies with a hospital.
const ownedByCustodian = "custodian"

// listValues says what --value is, by --by.
const listValues = "the patient as MSP/pseudonym, the grantee as MSP/name, the record as r-…, the custodian as its MSP"

// checkList refuses half of a list's name. Alone is the list that needs no value.
func checkList(by, value, alone string) error {
	switch {
	case by == "" && value != "":
		return usage("--value is %q and no --by says of what; name both, or none for your own", value)
	case by != "" && by != alone && value == "":
		return usage("--by %s needs --value: %s", by, listValues)
	}
	return nil
}

// ownList is the list that a role looks at when none is named: its own.
func ownList(who *gateway.Identity) (by, value string) {
	switch who.Role {
	case consortium.RolePatient:
		return "patient", who.ID()
	case consortium.RoleRequester:
		return "grantee", who.ID()
	case consortium.RoleCustodian:
		return ownedByCustodian, who.MSP
	default:
		return "", ""
	}
}
