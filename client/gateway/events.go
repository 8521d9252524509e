package gateway

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"

	"github.com/medfed/medfed/chaincode/fl"
)

// Event is a transaction's one event, after its commit.
type Event struct {
	fl.Event
	Name          string `json:"name"` // of the transaction, for instance round:OpenRound
	Block         uint64 `json:"block"`
	TransactionID string `json:"tx_id"`
}

// Checkpoint is where to go on reading events. The Fabric gateway's
// [client.FileCheckpointer] and [client.InMemoryCheckpointer] are ones; whoever
// reads [Gateway.Events] records in it the events it is done with, by
// CheckpointTransaction(event.Block, event.TransactionID).
type Checkpoint = client.Checkpoint

// Events delivers the chaincode's events in the order of their commit, each once,
// from the checkpoint on; with nil, or one that records nothing yet, from the next
// commit. It reconnects, to another peer where there is one, and goes on after the
// last event delivered. The channel closes when ctx ends, and only then.
//
// Without a checkpoint, events between a first failed connection and the next are
// not delivered: read the ledger for the present state, and events for when to
// read it again.
func (g *Gateway) Events(ctx context.Context, from Checkpoint) <-chan Event {
	position := new(client.InMemoryCheckpointer)
	if from != nil && (from.BlockNumber() != 0 || from.TransactionID() != "") {
		position.CheckpointTransaction(from.BlockNumber(), from.TransactionID())
	}
	events := make(chan Event)
	go func() {
		defer close(events)
		for attempt := 1; ; attempt++ {
			p := g.pick()
			if g.follow(ctx, p, position, events) {
				attempt = 1
			}
			if ctx.Err() != nil {
				return
			}
			g.mark(p, time.Now())
			g.options.Log.Debug("events broke off", "peer", p.name)
			if attempt >= len(g.peers) && pause(ctx, attempt) != nil {
				return
			}
		}
	}()
	return events
}

// follow delivers events from one peer until it breaks off, and reports whether
// there were any.
func (g *Gateway) follow(ctx context.Context, p *peerConnection, position *client.InMemoryCheckpointer, events chan<- Event) (any bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.gateway.GetNetwork(g.channel).ChaincodeEvents(ctx, g.chaincode, client.WithCheckpoint(position))
	if err != nil {
		return false
	}
	defer func() {
		cancel()
		for range stream { // lets the library's goroutine end
		}
	}()
	gone := g.goneOf(p)
	for {
		var received *client.ChaincodeEvent
		select {
		case received = <-stream:
		case <-gone: // what hangs breaks nothing off
		}
		if received == nil {
			return any
		}
		event := Event{Name: received.EventName, Block: received.BlockNumber, TransactionID: received.TransactionID}
		// What is no fl.Event, of a later chaincode, still is a reason to look at the ledger.
		_ = json.Unmarshal(received.Payload, &event.Event)
		select {
		case events <- event:
			position.CheckpointChaincodeEvent(received)
			any = true
		case <-ctx.Done():
			return any
		}
	}
}

// goneOf is closed as long as a peer hangs.
func (g *Gateway) goneOf(p *peerConnection) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return p.gone
}
