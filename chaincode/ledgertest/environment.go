package ledgertest

import (
	"os"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// mspVariable is where the shim's GetMSPID finds the organisation of the peer
// that a chaincode serves.
const mspVariable = "CORE_PEER_LOCALMSPID"

// environment is held while a simulation has set the process's environment.
var environment sync.Mutex

// WithPeerEnvironment lets chaincode ask shim.GetMSPID for the organisation of
// the peer it runs on. As the answer comes from the process's environment,
// simulations of all ledgers that have this option run one at a time.
func WithPeerEnvironment() Option {
	return func(l *Ledger) error {
		l.peerEnvironment = true
		return nil
	}
}

// run invokes the chaincode for a peer, with the peer's environment if wanted.
func (l *Ledger) run(view *stub) (*peer.Response, error) {
	if !l.peerEnvironment {
		return invoke(l.chaincode, view)
	}
	environment.Lock()
	defer environment.Unlock()
	before, had := os.LookupEnv(mspVariable)
	if err := os.Setenv(mspVariable, view.peer.MSP()); err != nil {
		return nil, err
	}
	defer func() {
		if had {
			os.Setenv(mspVariable, before)
		} else {
			os.Unsetenv(mspVariable)
		}
	}()
	return invoke(l.chaincode, view)
}
