package ipfs

import (
	"context"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/kubo/client/rpc"
)

// stream is a file's bytes as the node sends them in one answer; nothing in it is
// checked. The node's silence is timed from arm to disarm only: a reader that
// takes its time is not a silent node.
type stream struct {
	client *Client
	root   cid.Cid
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	answer *rpc.Response // nil until the first read
}

func (c *Client) stream(ctx context.Context, root cid.Cid) *stream {
	s := &stream{client: c, root: root}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.timer = time.AfterFunc(c.timeout, func() { s.cancel(errSilent) })
	return s
}

func (s *stream) arm()    { s.timer.Reset(s.client.timeout) }
func (s *stream) disarm() { s.timer.Stop() }

// Read opens the stream when it is read first. io.EOF is the node's own end; a
// connection that breaks gives another error.
func (s *stream) Read(p []byte) (int, error) {
	if s.answer == nil {
		answer, err := s.client.api.Request("cat", s.root.String()).Option("progress", false).Send(s.ctx)
		if err != nil {
			return 0, err
		}
		if answer.Error != nil {
			return 0, answer.Error
		}
		s.answer = answer
	}
	return s.answer.Output.Read(p)
}

func (s *stream) close() {
	s.disarm()
	s.cancel(context.Canceled)
	if s.answer != nil {
		s.answer.Cancel()
	}
}
