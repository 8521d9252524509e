package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"

	"github.com/medfed/medfed/chaincode/codes"
)

// probe is the transaction that shows a gateway to be ready: it writes nothing,
// yet is endorsed, ordered, validated and committed like any other.
const (
	probe         = "task:ListTasks"
	probeArgument = `{"page_size":1}`
)

// attemptTimeout bounds one try of the probe.
const attemptTimeout = 5 * time.Second

// awaitGateway returns when a transaction submitted through a peer's gateway
// has been committed. Nothing less shows that it can plan an endorsement, reach
// the other peers and their chaincode, and the orderers.
func (n *Network) awaitGateway(ctx context.Context, p *peer) error {
	connection, err := n.dial(p)
	if err != nil {
		return err
	}
	defer connection.Close()
	gateway, err := n.connect(p, connection)
	if err != nil {
		return err
	}
	defer gateway.Close()
	contract := gateway.GetNetwork(n.consortium.Channel).GetContract(n.consortium.Chaincode.Name)
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Ready)
	defer cancel()
	var last error
	patient, cancel := context.WithTimeout(limited, attemptTimeout)
	defer cancel()
	err = poll(limited, func() (bool, error) {
		if last = n.knowsOthers(limited, p, patient.Err() == nil); last != nil {
			return false, nil
		}
		attempt, cancel := context.WithTimeout(limited, attemptTimeout)
		defer cancel()
		_, last = contract.SubmitWithContext(attempt, probe, client.WithArguments(probeArgument))
		return last == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		return codes.Errorf("MF-NETWORK-READY", "the gateway of %s has committed no transaction after %s: %s; see %s, which ends:\n%s",
			p.Name, n.consortium.Timeouts.Ready, explain(last), n.logFile(p.Name), tail(n.logFile(p.Name)))
	}
	return err
}

// knowsOthers says why there is no use yet in asking a peer to plan an endorsement,
// which it answers with a page in its log: it is not on the channel or, where that may
// be waited for, has not heard of a majority of the peers on it.
func (n *Network) knowsOthers(ctx context.Context, p *peer, wait bool) error {
	if _, err := metric(ctx, p.OperationsAddress, "ledger_blockchain_height"); err != nil {
		return fmt.Errorf("it is not on channel %s: %w", n.consortium.Channel, err)
	}
	known, err := metric(ctx, p.OperationsAddress, "gossip_membership_total_peers_known")
	if wait && (err != nil || known < len(n.peers)/2) {
		return fmt.Errorf("it has heard of %d of %d other peers", known, len(n.peers)-1)
	}
	return nil
}

// dial opens a connection to a peer.
func (n *Network) dial(p *peer) (*grpc.ClientConn, error) {
	roots, err := certPool(p.TLS.CA)
	if err != nil {
		return nil, n.stateError(err)
	}
	return grpc.NewClient("passthrough:///"+p.Address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, p.CertificateName)))
}

// connect makes a gateway that acts as the administrator of the peer's organisation.
func (n *Network) connect(p *peer, connection *grpc.ClientConn) (*client.Gateway, error) {
	admin := n.adminMSP(p.Organisation)
	certPEM, certErr := os.ReadFile(filepath.Join(admin, "signcerts", "Admin@"+n.domain(p.Organisation)+"-cert.pem"))
	keyPEM, keyErr := os.ReadFile(filepath.Join(admin, "keystore", "priv_sk"))
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, n.stateError(err)
	}
	cert, certErr := identity.CertificateFromPEM(certPEM)
	key, keyErr := identity.PrivateKeyFromPEM(keyPEM)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	id, idErr := identity.NewX509Identity(p.MSP, cert)
	sign, signErr := identity.NewPrivateKeySign(key)
	if err := errors.Join(idErr, signErr); err != nil {
		return nil, err
	}
	return client.Connect(id, client.WithSign(sign), client.WithHash(hash.SHA256), client.WithClientConnection(connection))
}

// explain adds to an error what each peer said.
func explain(err error) string {
	text := errorText(err)
	for _, detail := range status.Convert(err).Details() {
		if d, ok := detail.(*gatewaypb.ErrorDetail); ok {
			text += "; " + d.GetMspId() + " (" + d.GetAddress() + "): " + d.GetMessage()
		}
	}
	return text
}
