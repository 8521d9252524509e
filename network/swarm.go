package network

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// ipfsNode is a node of one of the two IPFS networks.
type ipfsNode struct {
	Name      string // of the process
	Owner     string // organisation or public node
	Host      string
	SwarmPort int
	RPCPort   int
}

// swarm is one IPFS network. Every node keeps a connection to every other, so
// blocks are found by asking the neighbours: there is no DHT, and nothing
// outside the swarm is ever dialled.
type swarm struct {
	private bool // closed by a swarm key
	nodes   []*ipfsNode
}

// newSwarms lists the private swarm's nodes (one for each member) and the public one's.
func (n *Network) newSwarms() []*swarm {
	c := n.consortium
	private, public := &swarm{private: true}, &swarm{}
	for i := range c.Organisations {
		if o := &c.Organisations[i]; c.IPFS.Private && o.Kind.Member() {
			private.nodes = append(private.nodes, &ipfsNode{"ipfs-" + o.Name, o.Name, o.ipfsHost(), c.port(i, ipfsSwarmPort), c.port(i, ipfsRPCPort)})
		}
	}
	for i, node := range c.IPFS.Public {
		swarmPort, rpcPort := c.publicPorts(i)
		public.nodes = append(public.nodes, &ipfsNode{"ipfs-" + node.Name, node.Name, node.Host, swarmPort, rpcPort})
	}
	return []*swarm{private, public}
}

func (i *ipfsNode) rpc() string { return address(loopback, i.RPCPort) }

// tokenFile holds the bearer token without which a node's RPC answers nothing.
func (n *Network) tokenFile(i *ipfsNode) string { return n.path("secrets", i.Name+".token") }

func (n *Network) swarmKeyFile() string { return n.path("secrets", "swarm.key") }

func (n *Network) ipfsProcess(s *swarm, i *ipfsNode) *process {
	return &process{
		name:    i.Name,
		host:    i.Host,
		program: "ipfs",
		args:    []string{"daemon"},
		dir:     n.state,
		env:     n.ipfsEnvironment(s, i),
		ports:   map[string]string{"swarm": address(bindHost(i.Host), i.SwarmPort), "rpc": i.rpc()},
		healthy: func(ctx context.Context) error { return n.callRPC(ctx, i, "id", nil, &struct{}{}) },
	}
}

// ipfsEnvironment makes a private node refuse to start without its swarm key,
// and keeps every node from reporting about itself.
func (n *Network) ipfsEnvironment(s *swarm, i *ipfsNode) []string {
	env := []string{"IPFS_PATH=" + n.nodeDir(i.Name), "IPFS_TELEMETRY=off", "GOLOG_LOG_LEVEL=warn"}
	if s.private {
		env = append(env, "LIBP2P_FORCE_PNET=1")
	}
	return env
}

// makeSwarm makes the nodes' repositories and keys, then tells each of the others.
func (n *Network) makeSwarm(ctx context.Context, s *swarm) error {
	if s.private {
		if err := n.makeSwarmKey(); err != nil {
			return err
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	peers := make([]string, len(s.nodes))
	for k, node := range s.nodes {
		group.Go(func() (err error) {
			if err = n.initRepository(groupCtx, s, node, "--profile="+strings.Join(ipfsProfiles, ",")); err == nil {
				peers[k], err = n.peerID(node)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for k, node := range s.nodes {
		if err := n.configureNode(s, node, peers, k); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) makeSwarmKey() error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	text := "/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(key) + "\n"
	if _, err := os.Stat(n.swarmKeyFile()); err == nil {
		return nil
	}
	if err := writeFile(n.swarmKeyFile(), []byte(text), 0o600); err != nil {
		return n.stateError(err)
	}
	return nil
}

// nodeConfig is what is read of kubo's configuration.
type nodeConfig struct {
	Identity struct{ PeerID string }
	Peering  struct{ Peers []neighbour }
}

// neighbour is a node that another keeps a connection to.
type neighbour struct {
	ID    string
	Addrs []string
}

// authorization names, in a node's configuration, whoever has the bearer token.
const authorization = "medfed"

// section is a part of kubo's configuration, to be written.
type section = map[string]any

func (n *Network) configFile(i *ipfsNode) string { return filepath.Join(n.nodeDir(i.Name), configPart) }

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// configureNode writes the settings that make a node this swarm's.
func (n *Network) configureNode(s *swarm, i *ipfsNode, peerIDs []string, self int) error {
	token, err := n.token(n.tokenFile(i))
	if err != nil {
		return err
	}
	config := section{}
	if err := readJSON(n.configFile(i), &config); err != nil {
		return n.stateError(err)
	}
	for name, settings := range nodeSettings(s, i, peerIDs, self, token) {
		merge(config, name, settings)
	}
	content, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(n.configFile(i), content, 0o600); err != nil {
		return n.stateError(err)
	}
	if !s.private {
		return nil
	}
	return n.copyFile(n.swarmKeyFile(), filepath.Join(n.nodeDir(i.Name), "swarm.key"))
}

func (n *Network) copyFile(from, to string) error {
	raw, err := os.ReadFile(from)
	if err == nil {
		err = writeFile(to, raw, 0o600)
	}
	if err != nil {
		return n.stateError(err)
	}
	return nil
}

// merge sets fields of a section and leaves its others as they are.
func merge(config section, name string, settings any) {
	fields, isSection := settings.(section)
	old, _ := config[name].(section)
	if !isSection || old == nil {
		config[name] = settings
		return
	}
	for field, value := range fields {
		merge(old, field, value)
	}
}

// nodeSettings are a node's settings over the profiles of makeRepository. A
// swarm key works over TCP only, so all other transports are off.
func nodeSettings(s *swarm, i *ipfsNode, peerIDs []string, self int, token string) section {
	var neighbours []neighbour
	for k, other := range s.nodes {
		if k != self {
			neighbours = append(neighbours, neighbour{peerIDs[k], []string{multiaddr(other.Host, other.SwarmPort)}})
		}
	}
	return section{
		"Addresses": section{
			"Swarm":   []string{multiaddr(bindHost(i.Host), i.SwarmPort)},
			"API":     multiaddr(loopback, i.RPCPort),
			"Gateway": []string{},
		},
		"API": section{"Authorizations": section{
			authorization: section{"AuthSecret": "bearer:" + token, "AllowedPaths": []string{"/api/v0"}},
		}},
		"Peering": section{"Peers": neighbours},
		"Routing": section{"Type": "none"},
		"AutoNAT": section{"ServiceMode": "disabled"},
		"Swarm": section{
			"AddrFilters":        []string{},
			"EnableHolePunching": false,
			"RelayClient":        section{"Enabled": false},
			"RelayService":       section{"Enabled": false},
			"Transports": section{"Network": section{
				"QUIC": false, "WebTransport": false, "WebRTCDirect": false, "Websocket": false, "Relay": false,
			}},
		},
		"HTTPRetrieval": section{"Enabled": false},
		"Version":       section{"SwarmCheckEnabled": false},
	}
}

// multiaddr is a TCP address in libp2p's notation.
func multiaddr(host string, port int) string {
	kind := "dns"
	if ip := net.ParseIP(host); ip.To4() != nil {
		kind = "ip4"
	} else if ip != nil {
		kind = "ip6"
	}
	return "/" + kind + "/" + host + "/tcp/" + strconv.Itoa(port)
}

// callRPC calls a command of a node's RPC that needs no input.
func (n *Network) callRPC(ctx context.Context, i *ipfsNode, command string, arguments url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	token, err := os.ReadFile(n.tokenFile(i))
	if err != nil {
		return err
	}
	where := url.URL{Scheme: "http", Host: i.rpc(), Path: "/api/v0/" + command, RawQuery: arguments.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, where.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	body, err := do(http.DefaultClient, request)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

// awaitMesh returns when a node has a connection to every other of its swarm. It
// connects those that are missing: the node itself only tries again after
// seconds when a neighbour was not there yet.
func (n *Network) awaitMesh(ctx context.Context, s *swarm, self int) error {
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Start)
	defer cancel()
	var missing []string
	kept := false
	err := poll(limited, func() (bool, error) {
		if !kept && n.keepNeighbours(limited, s.nodes[self]) != nil {
			return false, nil
		}
		kept = true
		var err error
		if missing, err = n.missingNeighbours(limited, s, self); err != nil {
			return false, nil
		}
		for _, neighbour := range missing {
			_ = n.callRPC(limited, s.nodes[self], "swarm/connect", url.Values{"arg": {neighbour}}, &struct{}{})
		}
		return len(missing) == 0, nil
	})
	if err != nil && ctx.Err() == nil {
		return n.processError(s.nodes[self].Name, fmt.Sprintf("is not connected to %v", missing))
	}
	return err
}

// missingNeighbours are the addresses of the nodes of its swarm that a node has
// no connection to.
func (n *Network) missingNeighbours(ctx context.Context, s *swarm, self int) ([]string, error) {
	var answer struct{ Peers []struct{ Peer string } }
	if err := n.callRPC(ctx, s.nodes[self], "swarm/peers", nil, &answer); err != nil {
		return nil, err
	}
	connected := map[string]bool{}
	for _, p := range answer.Peers {
		connected[p.Peer] = true
	}
	var config nodeConfig
	if err := readJSON(n.configFile(s.nodes[self]), &config); err != nil {
		return nil, err
	}
	var missing []string
	for _, neighbour := range config.Peering.Peers {
		if !connected[neighbour.ID] {
			missing = append(missing, neighbour.address())
		}
	}
	return missing, nil
}
