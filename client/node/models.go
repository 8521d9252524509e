package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/trainer/weights"
)

const (
	parallelFetches = 4         // models fetched at once
	keptBytes       = 128 << 20 // plain weights kept in memory
	maxRecipients   = 10_000    // bounds how long a stranger's envelope may be
)

// models moves weights to and from the private IPFS: encrypted on the way out,
// checked against the ledger on the way in. What has been fetched, or made here,
// is kept by its digest so that it is not fetched again.
type models struct {
	store    Store
	identity *envelope.Identity
	journal  *journal

	mu    sync.Mutex
	kept  []kept // least recently used first
	bytes int64
}

// kept is a model in memory, and what it scored on this node's data.
type kept struct {
	digest  string
	weights *weights.Weights
	scored  bool
	score   fl.Micro
}

func newModels(store Store, identity *envelope.Identity, journal *journal) *models {
	return &models{store: store, identity: identity, journal: journal}
}

// put encrypts weights to the recipients and stores them, under a name where there are names.
func (m *models) put(ctx context.Context, w *weights.Weights, recipients []string, round int, name string) (fl.ModelRef, error) {
	defer m.journal.span(SpanIPFS, round, "add")()
	add := m.store.Add
	if store, names := m.store.(namer); names {
		add = func(ctx context.Context, r io.Reader) (string, error) { return store.AddNamed(ctx, name, r) }
	}
	ref, err := sealInto(ctx, add, w, recipients)
	if err == nil {
		m.keep(ref.Digest, w)
	}
	return ref, err
}

// Put encrypts weights to the recipients, stores them, and gives the reference
// that the ledger takes.
func Put(ctx context.Context, store Store, w *weights.Weights, recipients []string) (fl.ModelRef, error) {
	return sealInto(ctx, store.Add, w, recipients)
}

func sealInto(ctx context.Context, add func(context.Context, io.Reader) (string, error), w *weights.Weights, recipients []string) (fl.ModelRef, error) {
	plain := w.Bytes()
	sealed, err := envelope.SealReader(bytes.NewReader(plain), recipients...)
	if err != nil {
		return fl.ModelRef{}, err
	}
	defer sealed.Close()
	cid, err := add(ctx, sealed)
	if err != nil {
		return fl.ModelRef{}, err
	}
	return fl.ModelRef{CID: cid, Digest: w.Digest(), Size: int64(len(plain))}, nil
}

// fetch gives the model that a reference names, from memory or from IPFS.
func (m *models) fetch(ctx context.Context, ref fl.ModelRef, round int) (*weights.Weights, error) {
	if w := m.find(ref.Digest); w != nil {
		return w, nil
	}
	defer m.journal.span(SpanIPFS, round, "get "+ref.Digest)()
	w, err := Fetch(ctx, m.store, ref, m.identity)
	if err == nil {
		m.keep(ref.Digest, w)
	}
	return w, err
}

// Fetch gets the model that a reference names, opens it with the identity, and
// returns it only if it is exactly what the ledger says: MF-MODEL-SIZE and
// MF-MODEL-MISMATCH are its own refusals.
func Fetch(ctx context.Context, store Store, ref fl.ModelRef, identity *envelope.Identity) (*weights.Weights, error) {
	sealed, err := store.Get(ctx, ref.CID)
	if err != nil {
		return nil, err
	}
	defer sealed.Close()
	plain, err := envelope.Open(io.LimitReader(sealed, envelope.SealedSize(ref.Size, maxRecipients)+1), identity)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(plain, ref.Size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) != ref.Size {
		return nil, codes.Errorf("MF-MODEL-SIZE", "model %s is not the %d bytes that the ledger says; it is not used, ask its owner", ref.CID, ref.Size)
	}
	w, err := weights.Parse(content)
	if err != nil {
		return nil, err
	}
	if digest := w.Digest(); digest != ref.Digest {
		return nil, codes.Errorf("MF-MODEL-MISMATCH", "model %s has the digest %s, but the ledger says %s; it is not used, ask its owner", ref.CID, digest, ref.Digest)
	}
	return w, nil
}

// spoilt are the codes of failures that are the model's own fault, not the
// network's: what was stored is not what the ledger names, or can't be opened.
var spoilt = []codes.Code{
	"MF-ENVELOPE-CORRUPT", "MF-ENVELOPE-NOT-RECIPIENT", "MF-MODEL-MISMATCH", "MF-MODEL-SIZE", "MF-IPFS-DAG", "MF-IPFS-CID",
}

// badModel reports whether a failure is the model's own fault; every code of
// package weights says so too.
func badModel(err error) bool {
	code := codes.Of(err)
	return slices.Contains(spoilt, code) || strings.HasPrefix(string(code), "MF-WEIGHTS-")
}

// fetchAll gives the models of all updates, or the failures.
func (m *models) fetchAll(ctx context.Context, updates []fl.Update, round int) ([]*weights.Weights, error) {
	all, failures := make([]*weights.Weights, len(updates)), make([]error, len(updates))
	group := fewAtOnce()
	for i, update := range updates {
		group.Go(func() error {
			all[i], failures[i] = m.fetch(ctx, update.Model, round)
			return nil
		})
	}
	group.Wait()
	return all, errors.Join(failures...)
}

// fetchEach gives the models of the updates; nil for one that is wrong, or that
// has stayed out of reach until the time given.
func (m *models) fetchEach(ctx context.Context, updates []fl.Update, round int, until time.Duration) []*weights.Weights {
	ctx, cancel := context.WithTimeout(ctx, until)
	defer cancel()
	all := make([]*weights.Weights, len(updates))
	group := fewAtOnce()
	for i, update := range updates {
		group.Go(func() error {
			for backoff := firstBackoff; ; backoff = min(lastBackoff, 2*backoff) {
				w, err := m.fetch(ctx, update.Model, round)
				if err == nil {
					all[i] = w
				}
				if err == nil || badModel(err) || !sleep(ctx, backoff, nil) {
					return nil
				}
			}
		})
	}
	group.Wait()
	return all
}

// fewAtOnce is a group that fetches a few models at a time.
func fewAtOnce() *errgroup.Group {
	group := new(errgroup.Group)
	group.SetLimit(parallelFetches)
	return group
}

func (m *models) find(digest string) *weights.Weights {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.touch(digest); k != nil {
		return k.weights
	}
	return nil
}

// touch finds a kept model and makes it the most recently used.
func (m *models) touch(digest string) *kept {
	i := slices.IndexFunc(m.kept, func(k kept) bool { return k.digest == digest })
	if i < 0 {
		return nil
	}
	found := m.kept[i]
	m.kept = append(slices.Delete(m.kept, i, i+1), found)
	return &m.kept[len(m.kept)-1]
}

// keep remembers a model and forgets those used longest ago when there is no more
// room; the newest is kept whatever its size.
func (m *models) keep(digest string, w *weights.Weights) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.touch(digest) != nil {
		return
	}
	m.kept = append(m.kept, kept{digest: digest, weights: w})
	m.bytes += w.Size()
	for m.bytes > keptBytes && len(m.kept) > 1 {
		m.bytes -= m.kept[0].weights.Size()
		m.kept = slices.Delete(m.kept, 0, 1)
	}
}

// score is what a kept model has scored on this node's data.
func (m *models) score(digest string) (fl.Micro, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.touch(digest); k != nil {
		return k.score, k.scored
	}
	return 0, false
}

func (m *models) remember(digest string, score fl.Micro) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.touch(digest); k != nil {
		k.scored, k.score = true, score
	}
}
