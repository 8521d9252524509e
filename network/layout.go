package network

import (
	"net"
	"path/filepath"
	"strconv"
)

// Every port of a network is the base port plus an offset. Organisation number
// i has the block from stride*i; the public IPFS nodes follow after the last
// block. Ports marked "loopback" are never opened to other machines.
const (
	ordererPort           = iota
	ordererAdminPort      // channel participation, mutual TLS, loopback
	ordererOperationsPort // health and metrics, loopback
	peerPort
	peerChaincodePort  // where chaincode launched by the peer would call back, loopback
	peerOperationsPort // health and metrics, loopback
	chaincodePort      // the chaincode service, mutual TLS, loopback
	caPort
	caOperationsPort // health, loopback
	ipfsSwarmPort
	ipfsRPCPort // bearer token, loopback

	stride = 20
)

// loopback is where ports listen that only their own machine may reach.
const loopback = "127.0.0.1"

// portCount is how many ports, counted from the base port, a network spans.
func (c *Consortium) portCount() int {
	return stride*len(c.Organisations) + 2*len(c.IPFS.Public)
}

// port is organisation i's port of a kind.
func (c *Consortium) port(i, kind int) int { return c.BasePort + stride*i + kind }

// publicPorts are the swarm and RPC port of public IPFS node i.
func (c *Consortium) publicPorts(i int) (swarm, rpc int) {
	first := c.BasePort + stride*len(c.Organisations) + 2*i
	return first, first + 1
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// bindHost is what a server listens on to be reached as host: the host itself
// when it is an IP address, every interface when it is a DNS name.
func bindHost(host string) string {
	if net.ParseIP(host) != nil {
		return host
	}
	return "0.0.0.0"
}

// The state folder:
//
//	network.json              how far the network has been made
//	crypto/                   infrastructure certificates, by cryptogen
//	channel/                  configtx.yaml, genesis.block
//	chaincode/                the package, collections_config.json
//	builders/ccaas/           the peers' external builder
//	nodes/<process>/          configuration and data of a process
//	logs/<process>.log        and .log.1, what it held before
//	run/<process>.json        process ID and start of a running process
//	profiles/<org>.yaml       connection profiles
//	identities/<org>/<name>/  MSP folder of an enrolled identity
//	secrets/                  enrolment secrets, swarm key, IPFS tokens
//	keys/<org>/               keys of a hospital's private documents, which its clients write
//	locks/                    held while something is made once

func (n *Network) path(elements ...string) string {
	return filepath.Join(append([]string{n.state}, elements...)...)
}

func (n *Network) nodeDir(process string) string { return n.path("nodes", process) }
func (n *Network) logFile(process string) string { return n.path("logs", process+".log") }
func (n *Network) genesisBlock() string          { return n.path("channel", "genesis.block") }

// Names of an organisation's nodes in its certificates, below its domain.
const (
	peerName      = "peer"
	chaincodeName = "chaincode"
	caServerName  = "fabric-ca" // "ca" is the CA's own certificate
	ordererName   = "orderer"
)

// certificateName is the DNS name in the certificate of an organisation's node.
func (n *Network) certificateName(o *Organisation, node string) string {
	return node + "." + n.domain(o)
}

func (n *Network) domain(o *Organisation) string { return o.Name + "." + n.consortium.Domain }

// ordererDomain names the separate CA of an organisation's orderer.
func (n *Network) ordererDomain(o *Organisation) string { return ordererName + "." + n.domain(o) }

// certificates are the files one node proves itself with.
type certificates struct {
	MSP  string // folder of the signing identity
	Cert string // TLS certificate
	Key  string // TLS private key
	CA   string // certificate of the TLS CA that signed it
}

// nodeCertificates are those of an organisation's peer, chaincode service or Fabric CA.
func (n *Network) nodeCertificates(o *Organisation, node string) certificates {
	return cryptogenCertificates(filepath.Join(n.orgCrypto(o), "peers", n.certificateName(o, node)))
}

func (n *Network) ordererCertificates(o *Organisation) certificates {
	return cryptogenCertificates(filepath.Join(n.ordererCrypto(o), "orderers", n.ordererDomain(o)))
}

func cryptogenCertificates(dir string) certificates {
	tls := filepath.Join(dir, "tls")
	return certificates{
		MSP:  filepath.Join(dir, "msp"),
		Cert: filepath.Join(tls, "server.crt"),
		Key:  filepath.Join(tls, "server.key"),
		CA:   filepath.Join(tls, "ca.crt"),
	}
}

// orgCrypto is the folder of an organisation's certificates.
func (n *Network) orgCrypto(o *Organisation) string {
	return n.path("crypto", "peerOrganizations", n.domain(o))
}

// ordererCrypto is the folder of the certificates of an organisation's orderer.
func (n *Network) ordererCrypto(o *Organisation) string {
	return n.path("crypto", "ordererOrganizations", n.ordererDomain(o))
}

// adminMSP is the MSP folder of an organisation's administrator.
func (n *Network) adminMSP(o *Organisation) string {
	return filepath.Join(n.orgCrypto(o), "users", "Admin@"+n.domain(o), "msp")
}

// signingCA is the certificate and private key of an organisation's CA.
func (n *Network) signingCA(o *Organisation) (cert, key string) {
	ca := filepath.Join(n.orgCrypto(o), "ca")
	return filepath.Join(ca, "ca."+n.domain(o)+"-cert.pem"), filepath.Join(ca, "priv_sk")
}
