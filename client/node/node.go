// Package node is the daemon that takes part in a task: it trains when it is
// sampled, scores when it is elected, aggregates and attests as a master, and
// opens rounds, moves phases and proposes the global model as the coordinator.
//
// The ledger is the only state. Each step reads it, [Next] decides what is to be
// done, and the node does it; what a node keeps in memory only saves work. Salts
// come from its keys, training and scoring are deterministic, and every
// transaction is idempotent, so a node killed at any instant goes on where it
// was. Nobody is indispensable: what any member may do the coordinator does at
// once and the others, one after another, when it has not been done.
//
// Errors of its own begin with:
//
//	MF-NODE-CONFIG    something that a node needs is missing
//	MF-NODE-ROLE      a coordinator's identity that did not create the task
//	MF-NODE-DATASET   the data set or its budget is not what the node joined with
//	MF-NODE-KEY       the age key is not the one the node joined with
//	MF-NODE-JOURNAL   lines of the journal could not be written
//	MF-NODE-LATE      the task has started without this node
//	MF-NODE-SEALED    the scores measured now are not those sealed before
//	MF-MODEL-SIZE     stored weights are not as long as the ledger says
//	MF-MODEL-MISMATCH stored or recomputed weights have not the digest on the ledger
package node

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

// Ledger is what a node asks of the Fabric gateway; *gateway.Gateway is one.
type Ledger interface {
	gateway.Caller
	// Events gives the events of transactions, from now on for no checkpoint, until
	// the context ends. It survives the loss of a peer by itself.
	Events(ctx context.Context, from gateway.Checkpoint) <-chan gateway.Event
}

// Store is what a node asks of its organisation's private IPFS node. The bytes
// that Get gives have been checked against the CID. A Store that can also Pin
// keeps a copy of each global model that this node attested, from one that can Remove goes
// what the task's terms no longer keep, in one that can give names is found again what a node
// stored before it was killed, and one that can Check is checked before the node starts.
type Store interface {
	Add(ctx context.Context, r io.Reader) (cid string, err error)
	Get(ctx context.Context, cid string) (io.ReadCloser, error)
}

type (
	pinner interface {
		Pin(context.Context, string) error
	}
	remover interface {
		Remove(context.Context, string) error
	}
	namer interface {
		// AddNamed is Add, under a name, and Named gives the names that begin so by their CIDs.
		AddNamed(ctx context.Context, name string, r io.Reader) (cid string, err error)
		Named(ctx context.Context, prefix string) (map[string]string, error)
	}
	checker interface{ Check(context.Context) error }
)

// Config is what a node needs to take part.
type Config struct {
	ID          string             // "MSP/name" of the enrolled identity
	Task        string             // the task to take part in
	Coordinator bool               // the identity's role is coordinator
	ExpectNodes int                // coordinator: start the task once so many nodes have joined and they are enough for its terms; 0 leaves that to task start
	Members     []string           // coordinator: organisations whose nodes may join, to say of which none has; nil when not known
	Identity    *envelope.Identity // opens the weights encrypted to this node, and seeds its salts
	Ledger      Ledger
	Store       Store
	Learner     Learner       // nil for Local
	Train       dataset.Split // what this node trains on, and scores on besides Validation
	Validation  dataset.Split // scored besides Train when this node is a master
	Test        dataset.Split // coordinator: what each global model is measured on for the journal; may be empty
	Dataset     string        // name of what Train is a share of, for a private task's account of it; "" for the task's data label
	Budget      fl.Micro      // most ε, in millionths, that all private tasks together may spend of Dataset; 0 for no such limit
	Journal     io.Writer     // a line of JSON for each Span; nil for none
	Log         *slog.Logger
	Stagger     time.Duration    // how long a node waits for the one before it to move a phase; 0 for 2 s
	Poll        time.Duration    // longest time between looks at the ledger when no event comes; 0 for 2 s
	Now         func() time.Time // the clock that deadlines are held against; nil for time.Now

	// Tamper changes trained weights before they are sent. It is nil but in
	// fault injection.
	Tamper func(round int, w *weights.Weights) *weights.Weights
}

// Node is one running participant.
type Node struct {
	Config
	journal    *journal
	models     *models
	missing    missing // what this coordinator has said last that it waits for
	running    running // the step that an event may make pointless
	local      dataset.Split
	made       made
	attests    string // digest this node attested last; it may look again only when the next round is open
	measured   int    // round whose global model has been measured on Test
	pinned     int    // round whose global model has been pinned
	cleared    int    // round after which what is no longer kept has been removed
	retained   retained
	background sync.WaitGroup
}

// New makes a node ready to Run.
func New(config Config) (*Node, error) {
	switch {
	case config.Task == "":
		return nil, codes.Errorf("MF-NODE-CONFIG", "no task is named; name one with --task")
	case config.ID == "" || config.Identity == nil || config.Ledger == nil || config.Store == nil:
		return nil, codes.Errorf("MF-NODE-CONFIG", "identity, ledger or IPFS is missing; name a profile and an identity")
	case !config.Coordinator && config.Train.Len() == 0:
		return nil, codes.Errorf("MF-NODE-CONFIG", "there are no examples to train on; name a data set and a share of it")
	}
	if config.Learner == nil {
		config.Learner = Local{}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Stagger <= 0 {
		config.Stagger = 2 * time.Second
	}
	if config.Poll <= 0 {
		config.Poll = 2 * time.Second
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	n := &Node{Config: config, journal: newJournal(config.Journal, config.Log, config.ID, config.Task)}
	n.models = newModels(config.Store, config.Identity, n.journal)
	n.local = dataset.Join(config.Train, config.Validation)
	return n, nil
}
