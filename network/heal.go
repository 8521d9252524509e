package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Loss is what a process had lost with its folder when Up came, and what has
// become of it.
type Loss struct {
	Process string `json:"process"`
	Healed  string `json:"healed"`  // what was lost and is there again
	Lost    string `json:"lost"`    // what is lost for good, "" for nothing
	Restore string `json:"restore"` // what can bring that back
}

// String is the loss in one line.
func (l Loss) String() string {
	said := l.Process + " " + l.Healed
	if l.Lost != "" {
		said += "; lost for good: " + l.Lost + "; " + l.Restore
	}
	return said
}

// chain is the folder of a peer or an orderer that holds the channel's blocks,
// and how the server comes to a new one.
type chain struct {
	process   string
	data      string                      // all that the server stores
	blocks    string                      // the channel's blocks, in data
	configure func() error                // writes the configuration that lies beside data
	join      func(context.Context) error // once the server runs
	loss      Loss
}

// chains are those of all orderers and peers of this network.
func (n *Network) chains() []*chain {
	var all []*chain
	for _, o := range n.orderers {
		all = append(all, &chain{
			process: o.Name, data: o.Data, blocks: filepath.Join(o.Data, "chains", n.consortium.Channel),
			configure: func() error { return n.writeOrderer(o) },
			join:      func(ctx context.Context) error { return n.joinOrderer(ctx, o) },
			loss:      Loss{Process: o.Name, Healed: "had lost its ledger and gets it again from the other orderers"},
		})
	}
	for _, p := range n.peers {
		all = append(all, &chain{
			process: p.Name, data: p.Data, blocks: n.blockFolder(p),
			configure: func() error { return errors.Join(n.writePeer(p), n.writeConnection(p)) },
			join:      func(ctx context.Context) error { return n.comeBack(ctx, p) },
			loss:      n.peerLoss(p),
		})
	}
	return all
}

// blockFolder holds the files of the channel's blocks on a peer.
func (n *Network) blockFolder(p *peer) string {
	return filepath.Join(p.Data, "ledgersData", "chains", "chains", n.consortium.Channel)
}

// peerLoss says what a peer that gets its ledger again does not get.
func (n *Network) peerLoss(p *peer) Loss {
	l := Loss{Process: p.Name, Healed: "had lost its ledger and has it again from the orderers"}
	var alone, back []string
	for _, collection := range n.consortium.whoSeesWhat().Generate() {
		holders := collection.Holders()
		switch {
		case !slices.Contains(holders, p.MSP):
		case len(holders) == 1:
			alone = append(alone, collection.Name)
		default:
			back = append(back, collection.Name)
		}
	}
	if len(back) > 0 {
		l.Healed += ", and what lies in " + strings.Join(back, ", ") + " comes from the other members that hold it"
	}
	if len(alone) > 0 {
		l.Lost = "what lay in " + strings.Join(alone, " and ") + " (of each record its CID, wrapped keys and the patient's identifier), which no other member's peer holds"
		l.Restore = fmt.Sprintf("only an earlier copy of %s can restore it: take the network down, put the copy there, bring the network up; without one, add the records' files again as new records", p.Data)
	}
	return l
}

// rejoining marks, beside a server's data, that it is on the way back to the
// channel, so that an Up that was interrupted is gone on with.
const rejoining = "rejoining"

func (n *Network) rejoiningFile(process string) string {
	return filepath.Join(n.nodeDir(process), rejoining)
}

// lostChains are the servers whose blocks are gone, ready to be started without.
// One that still runs keeps its files open but would not survive its end: it is
// stopped. What is left of its folder is set aside, never deleted.
func (n *Network) lostChains(ctx context.Context) ([]*chain, error) {
	var lost []*chain
	for _, c := range n.chains() {
		begun := exists(n.rejoiningFile(c.process))
		if exists(c.blocks) && !begun {
			continue
		}
		if !begun {
			if err := n.stop(ctx, c.process); err != nil {
				return nil, err
			}
			aside, err := n.setAside(c.data, c.data)
			if err != nil {
				return nil, err
			}
			if aside != "" {
				c.loss.Healed += "; what was left of its folder is now " + aside
			}
		}
		if err := c.configure(); err != nil {
			return nil, err
		}
		if err := writeFile(n.rejoiningFile(c.process), nil, 0o600); err != nil {
			return nil, n.stateError(err)
		}
		lost = append(lost, c)
	}
	return lost, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// setAside gives a file, or a folder that has something in it, a name of its own
// that begins as asked, and returns that, "" when there is nothing to set aside.
func (n *Network) setAside(folder, name string) (aside string, err error) {
	if entries, err := os.ReadDir(folder); errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return "", nil
	}
	for k := 1; aside == "" || exists(aside); k++ {
		aside = fmt.Sprintf("%s.left-%d", name, k)
	}
	if err := os.Rename(folder, aside); err != nil {
		return "", n.stateError(err)
	}
	return aside, nil
}

// rejoin has servers that run without the channel join it again.
func (n *Network) rejoin(ctx context.Context, r *reporting, lost []*chain) error {
	if len(lost) == 0 {
		return nil
	}
	done := r.step(StepRejoin, len(lost))
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range lost {
		group.Go(func() error {
			defer done()
			if err := c.join(groupCtx); err != nil {
				return err
			}
			if err := os.Remove(n.rejoiningFile(c.process)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return n.stateError(err)
			}
			r.lost(c.loss)
			return nil
		})
	}
	return group.Wait()
}

// comeBack has a peer without a ledger join the channel, and returns when it has
// what the others have and its gateway has committed a transaction.
func (n *Network) comeBack(ctx context.Context, p *peer) error {
	if err := n.joinPeer(ctx, p); err != nil {
		return err
	}
	if err := n.install(ctx, p); err != nil {
		return err
	}
	if err := n.awaitCaughtUp(ctx, p); err != nil {
		return err
	}
	return n.awaitGateway(ctx, p)
}

// awaitCaughtUp returns when a peer has the blocks that any other has now. What
// others commit meanwhile does not matter, nor one that does not answer.
func (n *Network) awaitCaughtUp(ctx context.Context, p *peer) error {
	const height = "ledger_blockchain_height"
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Start)
	defer cancel()
	highest, own := 0, 0
	for _, other := range n.peers {
		if blocks, err := metric(limited, other.OperationsAddress, height); err == nil {
			highest = max(highest, blocks)
		}
	}
	err := poll(limited, func() (bool, error) {
		if blocks, err := metric(limited, p.OperationsAddress, height); err == nil {
			own = blocks
		}
		return own >= highest, nil
	})
	if err != nil && ctx.Err() == nil {
		return n.processError(p.Name, fmt.Sprintf("does not catch up: it has %d of %d blocks", own, highest))
	}
	return err
}
