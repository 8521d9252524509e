// Package session is how an enrolled identity comes to what it works with: a
// connection profile and an MSP folder become a gateway to the ledger, the IPFS
// nodes that the profile names, and the age key that opens what is encrypted to
// the identity. Commands and daemons begin with it and know no other way.
//
// Errors are those of packages gateway, ipfs and envelope, MF-PROFILE-IPFS where a
// profile names no IPFS node of the kind that is needed, and MF-NODE-RUNNING where
// an identity takes part in a task already.
package session

import (
	"path/filepath"

	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/keystore"
	"github.com/medfed/medfed/client/record"
)

// ageKeyFile lies in an identity's MSP folder, beside its certificate.
const ageKeyFile = "age.key"

// Connect reads a connection profile and an identity's MSP folder and makes the
// gateway of the two. It does not wait for the peers: the first call does. Codes:
// MF-GATEWAY-PROFILE, MF-GATEWAY-IDENTITY.
func Connect(profile, identity string) (*gateway.Gateway, error) {
	p, err := gateway.LoadProfile(profile)
	if err != nil {
		return nil, err
	}
	id, err := gateway.LoadIdentity(p.MSPID(), identity)
	if err != nil {
		return nil, err
	}
	return gateway.Connect(p, id, gateway.Options{})
}

// AgeKey is the key pair that opens what is encrypted to the identity in an MSP
// folder. It is made on first use and lies beside the certificate.
func AgeKey(identity string) (*envelope.Identity, error) {
	return envelope.LoadOrCreateIdentity(filepath.Join(identity, ageKeyFile))
}

// Stores are the IPFS nodes and the key store that a connection profile names, nil where
// it names none, and whose they are.
type Stores struct {
	MSP             string   // of the profile's organisation
	Members         []string // MSP identifiers of all that have a private node, sorted
	Private, Public record.Store
	PublicErased    []record.Store  // other nodes of the public network, which erasures remove from as well
	DocumentKeys    *keystore.Store // of a hospital's private documents
}

// OpenStores prepares clients of a profile's stores. It does not wait for them.
func OpenStores(profile string) (Stores, error) {
	p, err := gateway.LoadProfile(profile)
	if err != nil {
		return Stores{}, err
	}
	s := Stores{MSP: p.MSPID(), Members: p.Members()}
	if folder := p.Medfed.DocumentKeys; folder != "" {
		s.DocumentKeys = keystore.Open(folder)
	}
	for node, named := range map[*record.Store]gateway.IPFS{&s.Private: p.Medfed.IPFS.Private, &s.Public: p.Medfed.IPFS.Public} {
		if named.URL == "" {
			continue
		}
		if *node, err = ipfs.Open(ipfs.Config{URL: named.URL, TokenFile: named.TokenFile}); err != nil {
			return Stores{}, err
		}
	}
	for _, named := range p.Medfed.IPFS.PublicErased {
		node, err := ipfs.Open(ipfs.Config{URL: named.URL, TokenFile: named.TokenFile})
		if err != nil {
			return Stores{}, err
		}
		s.PublicErased = append(s.PublicErased, node)
	}
	return s, nil
}

// NeedPrivate is the private node, or MF-PROFILE-IPFS where there is none.
func (s Stores) NeedPrivate() (record.Store, error) {
	if s.Private == nil {
		return nil, record.ErrNoPrivate
	}
	return s.Private, nil
}
