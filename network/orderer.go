package network

import (
	"bytes"
	"context"
	"path/filepath"
	"strconv"

	"github.com/medfed/medfed/chaincode/codes"
)

// orderer is one consenter of the SmartBFT ordering service.
type orderer struct {
	Number            int // from 1: its identifier among the consenters
	Name              string
	MSP               string
	OrgMSPDir         string
	Host, Bind        string
	Port              int
	Address           string
	AdminAddress      string
	OperationsAddress string
	TLS               certificates
	SigningCert       string
	Data, WAL         string
}

// newOrderers lists the orderers in the consortium's order.
func (n *Network) newOrderers() []*orderer {
	var all []*orderer
	c := n.consortium
	for i := range c.Organisations {
		o := &c.Organisations[i]
		if !o.Orderer {
			continue
		}
		number := len(all) + 1
		name, tls, host := "orderer"+strconv.Itoa(number), n.ordererCertificates(o), o.ordererHost()
		all = append(all, &orderer{
			Number: number, Name: name, MSP: o.ordererMSP(),
			OrgMSPDir: filepath.Join(n.ordererCrypto(o), "msp"),
			Host:      host, Bind: bindHost(host),
			Port:              c.port(i, ordererPort),
			Address:           address(host, c.port(i, ordererPort)),
			AdminAddress:      address(loopback, c.port(i, ordererAdminPort)),
			OperationsAddress: address(loopback, c.port(i, ordererOperationsPort)),
			TLS:               tls,
			SigningCert:       filepath.Join(tls.MSP, "signcerts", n.ordererDomain(o)+"-cert.pem"),
			Data:              filepath.Join(n.nodeDir(name), "data"),
			WAL:               filepath.Join(n.nodeDir(name), "data", "wal"),
		})
	}
	return all
}

func (n *Network) ordererProcess(o *orderer) *process {
	dir := n.nodeDir(o.Name)
	return &process{
		name:    o.Name,
		host:    o.Host,
		program: "orderer",
		dir:     dir,
		env:     append([]string{"FABRIC_CFG_PATH=" + dir}, fabricLogging...),
		ports: map[string]string{
			"orderer":    address(o.Bind, o.Port),
			"admin":      o.AdminAddress,
			"operations": o.OperationsAddress,
		},
		healthy: func(ctx context.Context) error { return healthz(ctx, o.OperationsAddress) },
	}
}

func (n *Network) writeOrderer(o *orderer) error {
	return n.writeRendered(filepath.Join(n.nodeDir(o.Name), "orderer.yaml"), "orderer.yaml", o)
}

// joinOrderer has an orderer join the channel. osnadmin ends well even when it
// was refused, so its answer is read.
func (n *Network) joinOrderer(ctx context.Context, o *orderer) error {
	out, err := n.tool(ctx, nil, "osnadmin", "channel", "join", "--channelID", n.consortium.Channel,
		"--config-block", n.genesisBlock(), "-o", o.AdminAddress,
		"--ca-file", o.TLS.CA, "--client-cert", o.TLS.Cert, "--client-key", o.TLS.Key)
	if err != nil {
		return err
	}
	if bytes.Contains(out, []byte("Status: 201")) || bytes.Contains(out, []byte("already exists")) {
		return nil
	}
	return codes.Errorf("MF-NETWORK-CHANNEL", "%s can't join channel %s; it said:\n%s", o.Name, n.consortium.Channel, lastLines(out))
}

// leader is the orderer that most orderers follow; the first one while they do
// not say.
func (n *Network) leader(ctx context.Context) *orderer {
	votes := make([]int, len(n.orderers)+1)
	best := 1
	for _, o := range n.orderers {
		id, err := metric(ctx, o.OperationsAddress, "consensus_BFT_leader_id")
		if err != nil || id < 1 || id >= len(votes) {
			continue
		}
		votes[id]++
		if votes[id] > votes[best] {
			best = id
		}
	}
	return n.orderers[best-1]
}
