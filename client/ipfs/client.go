// Package ipfs stores and fetches files through a Kubo node's RPC and trusts the
// node with nothing: what is added gets the CID this process computed itself, and
// every block that is fetched is checked against its own CID before a byte of it
// is given out. Both ways stream with bounded memory.
//
// Files are UnixFS with the parameters of the unixfs-v1-2025 profile (IPIP-499:
// CIDv1, raw leaves, SHA2-256, chunks of 1 MiB, 1024 links a node, balanced), set
// on every request, so that equal bytes have equal CIDs whatever the node's own
// configuration says.
//
// Errors begin with a stable code:
//
//	MF-IPFS-CONFIG       the RPC's address is wrong, or would send the token in clear
//	MF-IPFS-TOKEN        the token file cannot be read, or the node refuses the token
//	MF-IPFS-UNREACHABLE  no node answers at the address
//	MF-IPFS-TIMEOUT      the node went silent, or no peer of its swarm has a block
//	MF-IPFS-NOT-FOUND    the node says that it cannot find a block
//	MF-IPFS-RPC          the node answered with another error, or not as Kubo does
//	MF-IPFS-CID          a CID is not in the canonical form medfed uses
//	MF-IPFS-CORRUPT      a block is not what its CID says
//	MF-IPFS-DAG          the blocks are intact but form no file, or an unreasonable one
//	MF-IPFS-ADD          the node stored something other than what it was sent
//	MF-IPFS-KEPT         the node keeps a block that it should have removed
package ipfs

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ipfs/kubo/client/rpc"
	"github.com/ipfs/kubo/client/rpc/auth"
	"github.com/medfed/medfed/chaincode/codes"
)

// Defaults of [Config].
const (
	DefaultTimeout  = 30 * time.Second
	DefaultPrefetch = 4
)

// transportBuffer is how much a connection reads and writes at once, in bytes.
const transportBuffer = 256 << 10

// Config says where a node's RPC is and how patient to be with it.
type Config struct {
	URL       string        // of the RPC, for instance http://127.0.0.1:5001; plain http only on loopback
	TokenFile string        // holds the bearer token of API.Authorizations; "" when the RPC asks for none
	Timeout   time.Duration // longest silence of the node before MF-IPFS-TIMEOUT; DefaultTimeout when 0
	Prefetch  int           // blocks held ahead of the reader, at most 2 MiB each; DefaultPrefetch when 0
}

// Client talks to one Kubo node. It is safe for concurrent use.
type Client struct {
	api       *rpc.HttpApi
	transport *http.Transport
	url       string
	timeout   time.Duration
	prefetch  int
}

// Open prepares a client; it does not speak to the node yet. Errors are
// MF-IPFS-CONFIG and MF-IPFS-TOKEN.
func Open(config Config) (*Client, error) {
	if err := checkURL(config.URL, config.TokenFile != ""); err != nil {
		return nil, err
	}
	c := &Client{
		url:      strings.TrimSuffix(config.URL, "/"),
		timeout:  config.Timeout,
		prefetch: config.Prefetch,
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.prefetch <= 0 {
		c.prefetch = DefaultPrefetch
	}
	c.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: c.timeout}).DialContext,
		TLSHandshakeTimeout: c.timeout,
		MaxIdleConnsPerHost: 4,
		ReadBufferSize:      transportBuffer,
		WriteBufferSize:     transportBuffer,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
	var carrier http.RoundTripper = c.transport
	if config.TokenFile != "" {
		token, err := readToken(config.TokenFile)
		if err != nil {
			return nil, err
		}
		carrier = auth.NewAuthorizedRoundTripper("Bearer "+token, carrier)
	}
	api, err := rpc.NewURLApiWithClient(c.url, &http.Client{Transport: carrier})
	if err != nil {
		return nil, codes.Wrapf("MF-IPFS-CONFIG", "no client for %s: %w; correct the profile's ipfs url", config.URL, err)
	}
	c.api = api
	return c, nil
}

// Close lets go of idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func checkURL(raw string, secret bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return codes.Errorf("MF-IPFS-CONFIG", "%q is no http or https address of a Kubo RPC; correct the profile's ipfs url", raw)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return codes.Errorf("MF-IPFS-CONFIG", "the RPC address of host %s holds more than scheme, host and path; credentials belong in the token file", u.Host)
	}
	if secret && u.Scheme == "http" && !loopback(u.Hostname()) {
		return codes.Errorf("MF-IPFS-CONFIG", "the token would travel to %s in clear; use https, or a node on this machine", u.Host)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func readToken(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", codes.Wrapf("MF-IPFS-TOKEN", "the token file cannot be read: %w; name the file that network up wrote", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", codes.Errorf("MF-IPFS-TOKEN", "%s holds no token; it is one line of printable characters without spaces", path)
	}
	return token, nil
}

// Peer is a node of the swarm that this node is connected with.
type Peer struct {
	ID      string `json:"id"`      // libp2p peer ID
	Address string `json:"address"` // multiaddr of the connection
}

// Peers lists the connections of the node in its swarm.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	var answer struct{ Peers []struct{ Addr, Peer string } }
	if err := c.api.Request("swarm/peers").Exec(ctx, &answer); err != nil {
		return nil, c.explain(ctx, "listing the swarm's peers", err)
	}
	peers := make([]Peer, len(answer.Peers))
	for i, p := range answer.Peers {
		peers[i] = Peer{ID: p.Peer, Address: p.Addr}
	}
	return peers, nil
}

// Check asks the node for its version: nil means that it is up and takes the
// token.
func (c *Client) Check(ctx context.Context) error {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	var answer struct{ Version string }
	if err := c.api.Request("version").Exec(ctx, &answer); err != nil {
		return c.explain(ctx, "asking for its version", err)
	}
	if answer.Version == "" {
		return codes.Errorf("MF-IPFS-RPC", "what answers at %s is no Kubo node; correct the profile's ipfs url", c.url)
	}
	return nil
}
