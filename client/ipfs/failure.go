package ipfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	cmds "github.com/ipfs/go-ipfs-cmds"
	"github.com/ipfs/kubo/client/rpc"
	"github.com/medfed/medfed/chaincode/codes"
)

// errSilent is the cause of a context that ended because the node went silent.
var errSilent = errors.New("no progress")

// patience bounds one short call.
func (c *Client) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, errSilent)
}

// watch bounds a call that may take long as long as it progresses: the context
// ends when progress has not been called for the client's timeout.
func (c *Client) watch(ctx context.Context) (watched context.Context, progress func(), stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.timeout, func() { cancel(errSilent) })
	var mu sync.Mutex
	progress = func() {
		mu.Lock()
		defer mu.Unlock()
		if timer.Stop() {
			timer.Reset(c.timeout)
		}
	}
	return ctx, progress, func() { timer.Stop(); cancel(context.Canceled) }
}

// explain gives an RPC's failure its code. The caller's own cancellation comes
// back as it is.
func (c *Client) explain(ctx context.Context, doing string, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return codes.Errorf("MF-IPFS-TIMEOUT", "%s: the node at %s was silent for at least %v; check that it runs and that a peer of its swarm has the content", doing, c.url, c.timeout)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	var answer *rpc.Error
	if errors.As(err, &answer) {
		return c.explainAnswer(doing, answer)
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return codes.Wrapf("MF-IPFS-UNREACHABLE", "%s: no node answers at %s: %w; start it, or correct the profile's ipfs url", doing, c.url, err)
	}
	return codes.Wrapf("MF-IPFS-RPC", "%s: %w; check that a Kubo node of a supported version runs at %s", doing, err, c.url)
}

func (c *Client) explainAnswer(doing string, answer *rpc.Error) error {
	message := strings.TrimSpace(answer.Message)
	switch {
	case answer.Code == cmds.ErrForbidden:
		return codes.Errorf("MF-IPFS-TOKEN", "%s: the node at %s refuses the token: %s; use the token of this node's API.Authorizations", doing, c.url, message)
	case strings.Contains(message, "could not find") || strings.Contains(message, "not found"):
		return codes.Errorf("MF-IPFS-NOT-FOUND", "%s: %s; check that a node of the swarm that has the content is up", doing, message)
	default:
		return codes.Errorf("MF-IPFS-RPC", "%s: the node answered: %s; see its log", doing, message)
	}
}
