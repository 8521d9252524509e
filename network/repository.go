package network

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ipfsProfiles are kubo's own settings below those of nodeSettings: no contact
// with the outside (test), nothing announced (announce-off), and one chunking for
// all, so that equal bytes have equal CIDs everywhere (unixfs-v1-2025).
var ipfsProfiles = []string{"test", "announce-off", "unixfs-v1-2025"}

// repositoryParts are the files and folders without which kubo opens no repository.
var repositoryParts = []string{configPart, "version", "datastore_spec", "blocks", "datastore"}

const configPart = "config"

// healSwarm gives the nodes of a swarm that have no repository a new one, makes
// one that somebody else has made this swarm's, and writes the peer IDs of all
// into the configuration of each. What runs on another configuration than the
// file's is stopped; Up starts it again.
func (n *Network) healSwarm(ctx context.Context, s *swarm) ([]Loss, error) {
	var losses []Loss
	peerIDs := make([]string, len(s.nodes))
	for k, node := range s.nodes {
		loss, err := n.healRepository(ctx, s, node)
		if err != nil {
			return nil, err
		}
		if loss != nil {
			losses = append(losses, *loss)
		}
		if peerIDs[k], err = n.peerID(node); err != nil {
			return nil, err
		}
		if n.runsAsAnother(ctx, node, peerIDs[k]) {
			if err := n.stop(ctx, node.Name); err != nil {
				return nil, err
			}
		}
	}
	for k, node := range s.nodes {
		if err := n.configureNode(s, node, peerIDs, k); err != nil {
			return nil, err
		}
	}
	return losses, nil
}

// hasRepository reports whether a node has a whole repository, and whether its
// configuration is one that configureNode has written.
func (n *Network) hasRepository(i *ipfsNode) (whole, own bool) {
	var config struct {
		nodeConfig
		API struct{ Authorizations map[string]any }
	}
	whole = readJSON(n.configFile(i), &config) == nil && config.Identity.PeerID != ""
	own = config.API.Authorizations[authorization] != nil
	for _, part := range repositoryParts {
		whole = whole && exists(filepath.Join(n.nodeDir(i.Name), part))
	}
	return whole, own
}

// healRepository sees to it that a node has a repository that is this network's.
// It gives nil when it had one.
func (n *Network) healRepository(ctx context.Context, s *swarm, i *ipfsNode) (*Loss, error) {
	whole, own := n.hasRepository(i)
	if whole && own {
		return nil, nil
	}
	if err := n.stop(ctx, i.Name); err != nil {
		return nil, err
	}
	if whole {
		return n.adoptRepository(ctx, s, i)
	}
	return n.replaceRepository(ctx, s, i)
}

// adoptRepository takes over a repository that somebody else has made; its blocks
// and pins stay.
func (n *Network) adoptRepository(ctx context.Context, s *swarm, i *ipfsNode) (*Loss, error) {
	for _, profile := range ipfsProfiles {
		if _, err := n.tool(ctx, n.ipfsEnvironment(s, i), "ipfs", "config", "profile", "apply", profile); err != nil {
			return nil, err
		}
	}
	return &Loss{
		Process: i.Name,
		Healed:  "had a repository that was made by hand, which is set up as this network's and which its neighbours know",
		Lost:    lostPins, Restore: restorePins,
	}, nil
}

const (
	lostPins    = "files that were pinned there and on no other node"
	restorePins = "a file that nobody else holds is added again from its source"
)

// replaceRepository makes a repository in the place of one that is gone or is not
// whole. A configuration that is left keeps the node's keys, and so its peer ID;
// where it alone is gone, blocks and pins stay.
func (n *Network) replaceRepository(ctx context.Context, s *swarm, i *ipfsNode) (*Loss, error) {
	loss := &Loss{Process: i.Name, Healed: "had lost its repository and has an empty one, which its neighbours know", Lost: lostPins, Restore: restorePins}
	folder := n.nodeDir(i.Name)
	missing := slices.DeleteFunc(slices.Clone(repositoryParts), func(part string) bool { return exists(filepath.Join(folder, part)) })
	var kept nodeConfig
	if err := readJSON(n.configFile(i), &kept); err != nil || kept.Identity.PeerID == "" {
		kept = nodeConfig{}
	}
	config, err := os.ReadFile(n.configFile(i))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, n.stateError(err)
	}
	onlyConfig := kept.Identity.PeerID == "" && !slices.ContainsFunc(missing, func(part string) bool { return part != configPart })
	lost := folder
	if onlyConfig {
		lost = n.configFile(i)
		loss.Healed, loss.Lost, loss.Restore = "had lost its configuration and has a new one with another peer ID, which its neighbours know", "", ""
	}
	aside, err := n.setAside(lost, lost)
	if err != nil {
		return nil, err
	}
	if aside != "" {
		loss.Healed += "; what was left is now " + aside
	}
	if kept.Identity.PeerID != "" {
		from := n.path("secrets", i.Name+".config")
		if err := writeFile(from, config, 0o600); err != nil {
			return nil, n.stateError(err)
		}
		defer os.Remove(from)
		return loss, n.initRepository(ctx, s, i, from)
	}
	return loss, n.initRepository(ctx, s, i, "--profile="+strings.Join(ipfsProfiles, ","))
}

// initRepository initialises a node's repository, from a configuration that is
// there or from profiles.
func (n *Network) initRepository(ctx context.Context, s *swarm, i *ipfsNode, from string) error {
	if err := os.MkdirAll(n.path("nodes"), 0o700); err != nil {
		return n.stateError(err)
	}
	_, err := n.tool(ctx, n.ipfsEnvironment(s, i), "ipfs", "init", "--empty-repo", from)
	return err
}

// peerID is the one in a node's configuration.
func (n *Network) peerID(i *ipfsNode) (string, error) {
	var config nodeConfig
	if err := readJSON(n.configFile(i), &config); err != nil {
		return "", n.stateError(err)
	}
	return config.Identity.PeerID, nil
}

// runsAsAnother reports whether a node that runs does not know itself by a peer
// ID: it began with another configuration than the file's. One that does not
// answer is left to the question for its health.
func (n *Network) runsAsAnother(ctx context.Context, i *ipfsNode, peerID string) bool {
	if _, alive := n.current(i.Name); !alive {
		return false
	}
	var answer struct{ ID string }
	return n.callRPC(ctx, i, "id", nil, &answer) == nil && answer.ID != peerID
}

// keepNeighbours makes a node that runs keep connections to the neighbours in its
// configuration, and to no others: one may have another peer ID since it began.
func (n *Network) keepNeighbours(ctx context.Context, i *ipfsNode) error {
	var config nodeConfig
	if err := readJSON(n.configFile(i), &config); err != nil {
		return err
	}
	var kept struct{ Peers []neighbour }
	if err := n.callRPC(ctx, i, "swarm/peering/ls", nil, &kept); err != nil {
		return err
	}
	for _, old := range kept.Peers {
		if !slices.ContainsFunc(config.Peering.Peers, func(p neighbour) bool { return p.ID == old.ID }) {
			if err := n.callRPC(ctx, i, "swarm/peering/rm", url.Values{"arg": {old.ID}}, &struct{}{}); err != nil {
				return err
			}
		}
	}
	for _, wanted := range config.Peering.Peers {
		if !slices.ContainsFunc(kept.Peers, func(p neighbour) bool { return p.ID == wanted.ID }) {
			if err := n.callRPC(ctx, i, "swarm/peering/add", url.Values{"arg": {wanted.address()}}, &struct{}{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// address is where a neighbour is reached, with its peer ID.
func (p neighbour) address() string { return p.Addrs[0] + "/p2p/" + p.ID }
