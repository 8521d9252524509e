package gateway

import (
	"context"
	"encoding/json"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/medfed/medfed/chaincode/codes"
)

// SubmitPrivate is [Gateway.Submit] for a transaction that only the peers of one
// organisation, an MSP identifier, can endorse: they alone hold its collections.
// Each value of private goes as JSON in the transient field of its name. It is
// sent to that organisation's peers and to no other's gateway, for a gateway sees
// what passes through it: MF-GATEWAY-PROFILE when the profile names none of them.
func (g *Gateway) SubmitPrivate(ctx context.Context, organisation, name string, request any, private map[string]any, result any) error {
	only := g.only(organisation)
	if len(only.peers) == 0 {
		return codes.Errorf("MF-GATEWAY-PROFILE", "the profile names no peer of %s, and what is private goes to no other; use a profile of that organisation", organisation)
	}
	fields := make(map[string][]byte, len(private))
	for field, value := range private {
		text, err := json.Marshal(value)
		if err != nil {
			return codes.Wrapf("MF-GATEWAY-RESULT", "the private part of %s is no JSON: %w; report this", name, err)
		}
		fields[field] = text
	}
	return only.call(ctx, name, true, request, result, func(p *peerConnection, argument string) ([]byte, *failure) {
		return only.submitOnce(ctx, p, name, argument, []client.ProposalOption{client.WithTransient(fields), client.WithEndorsingOrganizations(organisation)})
	})
}

// EvaluateAt is [Gateway.Evaluate] for a query that only a peer of one
// organisation, an MSP identifier, can answer. It is asked directly where the
// profile names one, and through another peer otherwise.
func (g *Gateway) EvaluateAt(ctx context.Context, organisation, name string, request, result any) error {
	asked := g.only(organisation)
	if len(asked.peers) == 0 {
		asked = g
	}
	return asked.call(ctx, name, false, request, result, func(p *peerConnection, argument string) ([]byte, *failure) {
		return asked.evaluateOnce(ctx, p, name, argument, organisation)
	})
}

// Await returns when a peer of an organisation, an MSP identifier, has a
// transaction that another peer has committed. Where the profile names no peer of
// it, there is nothing to ask and it returns at once.
func (g *Gateway) Await(ctx context.Context, organisation, transactionID string) error {
	only := g.only(organisation)
	if len(only.peers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.options.CommitTimeout)
	defer cancel()
	request, err := only.statusRequest(transactionID)
	if err != nil {
		return codes.Wrapf("MF-GATEWAY-RESULT", "transaction %s cannot be asked for: %w; report this", transactionID, err)
	}
	p := only.peers[0]
	commit, err := p.gateway.NewCommit(request)
	if err != nil {
		return codes.Wrapf("MF-GATEWAY-RESULT", "transaction %s cannot be asked for: %w; report this", transactionID, err)
	}
	if _, err := commit.StatusWithContext(ctx); err != nil {
		return explain(ctx, "awaiting a transaction", p, err).err
	}
	return nil
}

// only is the gateway reduced to the peers of one organisation. It shares their
// connections and is not to be closed.
func (g *Gateway) only(organisation string) *Gateway {
	reduced := &Gateway{identity: g.identity, channel: g.channel, chaincode: g.chaincode, options: g.options, mu: g.mu}
	for _, p := range g.peers {
		if p.msp == organisation {
			reduced.peers = append(reduced.peers, &peerConnection{name: p.name, msp: p.msp, connection: p.connection, gateway: p.gateway, gone: make(chan struct{})})
		} else {
			reduced.others = append(reduced.others, p)
		}
	}
	return reduced
}
