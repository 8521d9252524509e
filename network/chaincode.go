package network

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/medfed/medfed/collections"
)

// The chaincode runs as one service beside each peer. The peers get a package
// that says so and nothing else: where its service listens and how to reach it
// each peer is told by its own connection file, put in place by the external
// builder.

// connection is the connection.json of Fabric's chaincode as a service.
type connection struct {
	Address            string `json:"address"`
	Domain             string `json:"domain"` // name in the service's certificate
	DialTimeout        string `json:"dial_timeout"`
	TLSRequired        bool   `json:"tls_required"`
	ClientAuthRequired bool   `json:"client_auth_required"`
	ClientKey          string `json:"client_key"`
	ClientCert         string `json:"client_cert"`
	RootCert           string `json:"root_cert"`
}

func (n *Network) connectionFile(p *peer) string {
	return filepath.Join(n.nodeDir(p.Name), "connection.json")
}

// writeConnection writes a peer's way to its chaincode service: it shows its
// TLS certificate and accepts only the service's.
func (n *Network) writeConnection(p *peer) error {
	c := connection{
		Address:     p.ServiceAddress,
		Domain:      n.certificateName(p.Organisation, chaincodeName),
		DialTimeout: "10s", TLSRequired: true, ClientAuthRequired: true,
	}
	for file, field := range map[string]*string{p.TLS.Key: &c.ClientKey, p.TLS.Cert: &c.ClientCert, p.ServiceTLS.CA: &c.RootCert} {
		pem, err := os.ReadFile(file)
		if err != nil {
			return n.stateError(err)
		}
		*field = string(pem)
	}
	content, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := writeFile(n.connectionFile(p), content, 0o600); err != nil {
		return n.stateError(err)
	}
	return nil
}

func (n *Network) serviceProcess(p *peer) *process {
	domain := n.certificateName(p.Organisation, chaincodeName)
	return &process{
		name:    p.ServiceName,
		host:    p.Organisation.peerHost(),
		program: "chaincode",
		dir:     n.state,
		env: []string{
			"CHAINCODE_ID=" + n.packageID(),
			"CHAINCODE_SERVER_ADDRESS=" + p.ServiceAddress,
			"CHAINCODE_TLS_KEY=" + p.ServiceTLS.Key,
			"CHAINCODE_TLS_CERT=" + p.ServiceTLS.Cert,
			"CHAINCODE_CLIENT_CA_CERT=" + p.TLS.CA,
			"CORE_PEER_LOCALMSPID=" + p.MSP, // what shim.GetMSPID gives
		},
		ports:   map[string]string{"chaincode": p.ServiceAddress},
		healthy: func(ctx context.Context) error { return handshake(ctx, p.ServiceAddress, domain, p.TLS, p.ServiceTLS) },
	}
}

// newPackage is the package the peers install: the same bytes, and so the same
// package ID, in every organisation.
func (n *Network) newPackage() []byte {
	metadata, _ := json.Marshal(map[string]string{"type": "ccaas", "label": n.packageLabel()})
	code := archive(file{"connection.json", []byte("{}")})
	return archive(file{"metadata.json", metadata}, file{"code.tar.gz", code})
}

func (n *Network) packageLabel() string { return n.consortium.Chaincode.Name }

// packageID is the name the peers give to the installed package.
func (n *Network) packageID() string {
	sum := sha256.Sum256(n.chaincode)
	return n.packageLabel() + ":" + hex.EncodeToString(sum[:])
}

// file is an entry of an archive.
type file struct {
	name    string
	content []byte
}

// archive packs files into a .tar.gz whose bytes depend on nothing else: not even
// on how well this version of Go compresses.
func archive(files ...file) []byte {
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.NoCompression) // a level there is
	pack := tar.NewWriter(zip)
	for _, f := range files { // writes to memory do not fail
		_ = pack.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg})
		_, _ = pack.Write(f.content)
	}
	_ = pack.Close()
	_ = zip.Close()
	return out.Bytes()
}

func (n *Network) packageFile() string     { return n.path("chaincode", n.packageLabel()+".tar.gz") }
func (n *Network) collectionsFile() string { return n.path("chaincode", "collections_config.json") }

// writeChaincode writes the package and the collections.
func (n *Network) writeChaincode() error {
	config, err := collections.JSON(n.consortium.whoSeesWhat().Generate())
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{n.packageFile(): n.chaincode, n.collectionsFile(): config} {
		if err := writeFile(path, content, 0o600); err != nil {
			return n.stateError(err)
		}
	}
	return nil
}

// writeBuilder writes the peers' external builder.
func (n *Network) writeBuilder() error {
	scripts, err := fs.ReadDir(templates, "templates/ccaas")
	if err != nil {
		return err
	}
	for _, script := range scripts {
		content, err := templates.ReadFile("templates/ccaas/" + script.Name())
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(n.builder(), "bin", script.Name()), content, 0o700); err != nil {
			return n.stateError(err)
		}
	}
	return nil
}

func (n *Network) builder() string { return n.path("builders", "ccaas") }

// install installs the chaincode package on a peer.
func (n *Network) install(ctx context.Context, p *peer) error {
	_, err := n.asAdmin(ctx, p, "lifecycle", "chaincode", "install", n.packageFile())
	if err != nil && strings.Contains(err.Error(), "already successfully installed") {
		return nil
	}
	return err
}

// definition is what every member approves and the channel commits.
func (n *Network) definition(sequence int) []string {
	c := n.consortium
	return []string{"--channelID", c.Channel, "--name", c.Chaincode.Name, "--version", c.Chaincode.Version,
		"--sequence", strconv.Itoa(sequence), "--signature-policy", c.endorsement(), "--collections-config", n.collectionsFile()}
}

// deploy has every member approve the chaincode's definition and commits it as
// the next sequence, which it returns.
func (n *Network) deploy(ctx context.Context) (sequence int, err error) {
	committed, err := n.committedSequence(ctx)
	if err != nil {
		return 0, err
	}
	sequence = committed + 1
	group, groupCtx := errgroup.WithContext(ctx)
	for _, p := range n.peers {
		group.Go(func() error { return n.approve(groupCtx, p, sequence) })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	if err := n.awaitSameHeight(ctx); err != nil {
		return 0, err
	}
	return sequence, n.commit(ctx, sequence)
}

// approve records that a member agrees to the definition. Agreeing to the same
// again is no error.
func (n *Network) approve(ctx context.Context, p *peer, sequence int) error {
	args := append(n.definition(sequence), "--package-id", n.packageID())
	return n.lifecycle(ctx, p, "approveformyorg", args, func(err error) bool {
		return strings.Contains(err.Error(), "unchanged content")
	})
}

// commit makes the approved definition the channel's.
func (n *Network) commit(ctx context.Context, sequence int) error {
	args := n.definition(sequence)
	for _, p := range n.peers {
		args = append(args, "--peerAddresses", p.Address, "--tlsRootCertFiles", p.TLS.CA)
	}
	return n.lifecycle(ctx, n.peers[0], "commit", args, func(error) bool {
		committed, err := n.committedSequence(ctx)
		return err == nil && committed == sequence
	})
}

// lifecycleTries is how often a lifecycle transaction is sent.
const lifecycleTries = 3

// lifecycle sends a lifecycle transaction and waits until it is committed. The
// command line hands it to one orderer only; the leader acts on it at once, a
// follower a second later, and one that has just lost its leader perhaps never.
// So it goes to the leader, and to the new one when nothing comes of it.
// landed tells from the error of a later try that an earlier one was committed.
func (n *Network) lifecycle(ctx context.Context, p *peer, command string, args []string, landed func(error) bool) error {
	var err error
	for range lifecycleTries {
		o := n.leader(ctx)
		all := append([]string{"lifecycle", "chaincode", command, "-o", o.Address, "--tls", "--cafile", o.TLS.CA, "--waitForEventTimeout", "10s"}, args...)
		if _, err = n.asAdmin(ctx, p, all...); err == nil || landed(err) {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// committedSequence is the sequence of the definition the channel has, 0 for none.
func (n *Network) committedSequence(ctx context.Context) (int, error) {
	out, err := n.asAdmin(ctx, n.peers[0], "lifecycle", "chaincode", "querycommitted", "--channelID", n.consortium.Channel, "--output", "json")
	if err != nil {
		return 0, err
	}
	var answer struct {
		Definitions []struct {
			Name     string `json:"name"`
			Sequence int    `json:"sequence"`
		} `json:"chaincode_definitions"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return 0, err
	}
	for _, definition := range answer.Definitions {
		if definition.Name == n.consortium.Chaincode.Name {
			return definition.Sequence, nil
		}
	}
	return 0, nil
}
