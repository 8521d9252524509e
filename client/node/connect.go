package node

import (
	"context"
	"path/filepath"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
)

// ageKeyFile lies in an identity's MSP folder, beside its certificate.
const ageKeyFile = "age.key"

// Connection is a Fabric gateway in the form a node takes.
type Connection struct{ *gateway.Gateway }

// Connect reads a connection profile and an identity's MSP folder. It does not
// wait for the peers: the first call does. Codes: MF-GATEWAY-PROFILE,
// MF-GATEWAY-IDENTITY.
func Connect(profile, identity string) (*Connection, error) {
	p, err := gateway.LoadProfile(profile)
	if err != nil {
		return nil, err
	}
	id, err := gateway.LoadIdentity(p.MSPID(), identity)
	if err != nil {
		return nil, err
	}
	g, err := gateway.Connect(p, id, gateway.Options{})
	if err != nil {
		return nil, err
	}
	return &Connection{g}, nil
}

// Events passes the gateway's events on until the context ends.
func (c *Connection) Events(ctx context.Context) (<-chan Event, error) {
	events := make(chan Event)
	received := c.Gateway.Events(ctx, nil)
	go func() {
		defer close(events)
		for e := range received {
			select {
			case events <- Event{Name: e.Name, Event: e.Event}:
			case <-ctx.Done():
			}
		}
	}()
	return events, nil
}

// OpenStore prepares a client of the profile's private IPFS node. Code:
// MF-PROFILE-IPFS when the profile names none.
func OpenStore(profile string) (Store, error) {
	p, err := gateway.LoadProfile(profile)
	if err != nil {
		return nil, err
	}
	private := p.Medfed.IPFS.Private
	if private.URL == "" {
		return nil, codes.Errorf("MF-PROFILE-IPFS", "profile %s names no private IPFS node; use the profile of a hospital or research centre", profile)
	}
	return ipfs.Open(ipfs.Config{URL: private.URL, TokenFile: private.TokenFile})
}

// AgeIdentity is the key pair that opens what is encrypted to the identity in an
// MSP folder. It is made on first use and lies beside the certificate.
func AgeIdentity(identity string) (*envelope.Identity, error) {
	return envelope.LoadOrCreateIdentity(filepath.Join(identity, ageKeyFile))
}
